"""The port to Paddle, with the mistakes that `settings.mistakes` names."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import nn
from paddle.nn import functional as F


class Block(nn.Layer):
    def __init__(self, number: int, mistakes: set[str]) -> None:
        super().__init__()
        at_one, at_two = number == 1, number == 2
        self.fc1 = (_WithoutBias if number == 0 and "bias" in mistakes else nn.Linear)(8, 16)
        self.fc2 = nn.Linear(16, 8)
        self.norm = nn.LayerNorm(8, epsilon=1e-3 if at_one and "eps" in mistakes else 1e-5)
        self.approximate = at_two and "gelu" in mistakes
        self.share = 1.1 if at_one and "residual" in mistakes else 1.0
        self.is_cut = at_one and "detach" in mistakes

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        source = x.detach() if self.is_cut else x
        inner = self.fc2(F.gelu(self.fc1(source), approximate=self.approximate))
        return self.norm(x + self.share * inner)


class Net(nn.Layer):
    def __init__(self, mistakes: set[str]) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 8)
        self.mix = (_Tired if "second call" in mistakes else nn.Linear)(8, 8)
        self.blocks = nn.LayerList([Block(number, mistakes) for number in range(3)])
        self.head = nn.Linear(8, 3)
        self.scale = 0.51 if "scale" in mistakes else 0.5

    def forward(self, x: paddle.Tensor) -> dict[str, paddle.Tensor]:
        x = self.mix(self.embed(x))
        for block in self.blocks:
            x = block(x)
        return {"logits": self.head(self.mix(x) * self.scale)}


class _WithoutBias(nn.Linear):
    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return F.linear(x, self.weight)


class _Tired(nn.Linear):
    """Right at every other call only."""

    n_calls = 0

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        self.n_calls += 1
        return super().forward(x) * (1.0 if self.n_calls % 2 else 0.9)


def build(settings: Mapping[str, object]) -> nn.Layer:
    mistakes = settings["mistakes"]
    assert isinstance(mistakes, list)
    model = Net(set(mistakes))
    model.eval()
    return model
