"""The candidate: the same classifier in Paddle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import paddle
from paddle import nn
from paddle.optimizer import lr


class Net(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.norm = nn.LayerNorm(8)
        self.last = nn.Linear(8, 2)

    def forward(self, x: paddle.Tensor) -> dict[str, paddle.Tensor]:
        return {"logits": self.last(self.norm(paddle.tanh(self.first(x))))}


def build(settings: Mapping[str, object]) -> nn.Layer:
    model = Net()
    model.eval()
    return model


def stepped(settings: Mapping[str, object]) -> Any:
    return lr.StepDecay(0.1, step_size=30, gamma=0.1)


def wrong_size(settings: Mapping[str, object]) -> Any:
    return lr.StepDecay(0.1, step_size=7, gamma=0.1)


def never_stepped(settings: Mapping[str, object]) -> Any:
    return _Forgotten(0.1, step_size=30, gamma=0.1)


def wrong_and_never_stepped(settings: Mapping[str, object]) -> Any:
    return _Forgotten(0.1, step_size=7, gamma=0.1)


class _Forgotten(lr.StepDecay):
    """A loop with `scheduler.step()` left out: only the constructor's own step counts."""

    def step(self, epoch: int | None = None) -> None:
        if self.last_epoch < 0:
            super().step(epoch)
