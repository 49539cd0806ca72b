"""The model as it was."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn


class Old(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.norm = nn.LayerNorm(8)
        self.last = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.norm(torch.tanh(self.first(x)))
        return self.last(hidden)  # type: ignore[no-any-return]


def build(settings: Mapping[str, object]) -> nn.Module:
    torch.manual_seed(0)
    return Old().eval()
