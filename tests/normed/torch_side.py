"""The reference, and a candidate in torch; `settings.mistake` says what batch norms do wrong."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def build(settings: Mapping[str, object]) -> nn.Module:
    """The reference; its variances are biased where the mistake is to keep the wrong side's."""
    torch.manual_seed(0)
    return Model(OwnNorm if settings["mistake"] == "wrong_side" else nn.BatchNorm1d)


def build_port(settings: Mapping[str, object]) -> nn.Module:
    """The same in torch, as a port."""
    torch.manual_seed(1)
    return Port(OwnNorm if settings["mistake"] == "biased" else nn.BatchNorm1d)


class OwnNorm(nn.BatchNorm1d):
    """A batch norm that keeps the biased variance."""

    def forward(self, x: Tensor) -> Tensor:
        before = self.running_var.clone()
        y = super().forward(x)
        biased = x.detach().var((0, 2), correction=0)
        self.running_var.data.copy_(before + self.momentum * (biased - before))
        return y


class Model(nn.Module):
    def __init__(self, norm: type[nn.BatchNorm1d]) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv1d(n, 5, 3, padding=1, bias=False) for n in (3, 5))
        self.norm1, self.norm2 = norm(5), norm(5)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = torch.tanh(self.norm1(self.conv1(x)))
        x = torch.tanh(self.norm2(self.conv2(x)) + self.norm2(x * x))
        return {"logits": self.head(x.mean(2))}


class Port(Model):
    """Another class, so that it is not the reference itself."""
