"""The candidate; `settings.mistake` says what its batch norms do wrong."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import Tensor, nn


def build(settings: Mapping[str, object]) -> nn.Layer:
    return Model(str(settings["mistake"]))


class OwnNorm(nn.BatchNorm1D):
    """A batch norm that keeps the unbiased variance."""

    def forward(self, x: Tensor) -> Tensor:
        before = self._variance.clone()
        y = super().forward(x)
        with paddle.no_grad():
            unbiased = x.transpose([1, 0, 2]).flatten(1).var(1)
            self._variance.set_value(before + (1.0 - self._momentum) * (unbiased - before))
        return y


class Model(nn.Layer):
    def __init__(self, mistake: str) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv1D(n, 5, 3, padding=1, bias_attr=False) for n in (3, 5))
        norm = OwnNorm if mistake == "wrong_side" else nn.BatchNorm1D
        self.norm1 = norm(
            5,
            momentum=0.1 if mistake == "momentum" else 0.9,
            epsilon=1e-3 if mistake == "eps" else 1e-5,
        )
        self.norm2 = norm(5)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = paddle.tanh(self.norm1(self.conv1(x)))
        x = paddle.tanh(self.norm2(self.conv2(x)) + self.norm2(x * x))
        return {"logits": self.head(x.mean(2))}
