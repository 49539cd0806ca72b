"""The model rewritten: other argument and output names, one optional mistake."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn


class New(nn.Module):
    def __init__(self, *, epsilon: float) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.tanh = nn.Tanh()
        self.norm = nn.LayerNorm(8, eps=epsilon)
        self.last = nn.Linear(8, 2)

    def forward(self, features: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": self.last(self.norm(self.tanh(self.first(features))))}


def build(settings: Mapping[str, object]) -> nn.Module:
    return New(epsilon=1.0e-3 if settings["mistake"] == "epsilon" else 1.0e-5).eval()
