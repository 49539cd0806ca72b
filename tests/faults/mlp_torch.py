"""A perceptron in torch, as the reference and as a port with every fault it can be asked for."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from seeded import seeded
from torch import Tensor, nn

from planted import Asked, Planted

N_IN, WIDTH, CLASSES = 6, 10, 4


def build_reference(settings: Mapping[str, object]) -> nn.Module:
    return seeded(Perceptron(Planted({}).at()), settings, seed=21)


def build(settings: Mapping[str, object]) -> nn.Module:
    return Port(Planted(settings).at()).to(getattr(torch, str(settings.get("dtype", "float32"))))


class Perceptron(nn.Module):
    def __init__(self, on: Asked) -> None:
        super().__init__()
        self.on = on
        self.fc1 = nn.Linear(N_IN, WIDTH)
        if on("fc1_frozen"):
            self.fc1.weight.requires_grad_(False)
        self.norm = OwnNorm(WIDTH, on) if on("norm_biased") else nn.BatchNorm1d(WIDTH)
        if on("norm_momentum_turned") or on("norm_momentum_small"):
            self.norm.momentum = 0.9 if on("norm_momentum_turned") else 0.01
        self.drop = nn.Dropout(0.3 if on("dropout_rate") else 0.2)
        self.fc2 = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.fc1(x.to(self.fc1.weight.dtype))
        if self.on("norm_in_eval"):
            self.norm.eval()
        x = torch.tanh(self.normed(x))
        if self.on("detached"):
            x = x.detach()
        if self.on("dropout_unscaled"):
            x = self.drop(x) * (1.0 - self.drop.p) if self.training else x
        elif not self.on("dropout_missing"):
            x = self.drop(x)
        return {"logits": self.fc2(x)}

    def normed(self, x: Tensor) -> Tensor:
        norm = self.norm
        if self.on("norm_not_kept") and self.training:
            return F.batch_norm(x, None, None, norm.weight, norm.bias, training=True)
        return norm(x)


class Port(Perceptron):
    """Another class, so that it is not the reference itself."""


class OwnNorm(nn.BatchNorm1d):
    """A batch norm that keeps the biased variance."""

    def __init__(self, width: int, on: Asked) -> None:
        super().__init__(width)

    def forward(self, x: Tensor) -> Tensor:
        before = self.running_var.clone()
        y = super().forward(x)
        if self.training:
            biased = x.detach().var(0, correction=0)
            self.running_var.data.copy_(before + self.momentum * (biased - before))
        return y
