"""The reference: two linear layers around a norm, with its class scores."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(32, 64)
        self.norm = nn.LayerNorm(64)
        self.last = nn.Linear(64, 8)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = F.gelu(self.first(x.to(self.first.weight.dtype)))
        logits = self.last(self.norm(hidden))
        return {"logits": logits, "scores": F.softmax(logits, dim=-1, dtype=torch.float32)}


def build(settings: Mapping[str, object]) -> nn.Module:
    torch.manual_seed(0)
    return Net().eval().to(getattr(torch, str(settings["dtype"])))
