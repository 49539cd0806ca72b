"""The reference: a classifier of points that mostly looks at their first coordinate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.norm = nn.LayerNorm(8)
        self.last = nn.Linear(8, 2)
        with torch.no_grad():
            self.last.weight[:, 0] += torch.tensor([-3.0, 3.0])
            self.first.weight += 3.0 * torch.eye(8)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": self.last(self.norm(torch.tanh(self.first(x))))}


def build(settings: Mapping[str, object]) -> nn.Module:
    torch.manual_seed(0)
    return Net().eval()


def stepped(optimizer: torch.optim.Optimizer, settings: Mapping[str, object]) -> Any:
    return torch.optim.lr_scheduler.StepLR(optimizer, step_size=30, gamma=0.1)


def never_stepped(optimizer: torch.optim.Optimizer, settings: Mapping[str, object]) -> Any:
    return _Forgotten(optimizer, step_size=30, gamma=0.1)


class _Forgotten(torch.optim.lr_scheduler.StepLR):
    """A loop with `scheduler.step()` left out: only the constructor's own step counts."""

    def step(self, epoch: int | None = None) -> None:
        if self.last_epoch < 0:
            super().step()
