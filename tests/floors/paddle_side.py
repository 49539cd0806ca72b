"""The port to Paddle; `settings.mistake` is corners, slope or gradient."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import nn


class Net(nn.Layer):
    def __init__(self, mistake: str, gain: float) -> None:
        super().__init__()
        self.gain = gain
        self.first = nn.Conv2D(3, 8, 3)
        kind = _Leaky if mistake == "gradient" else nn.AvgPool2D
        self.pool = kind(3, 2, padding=1, exclusive=False)
        self.resize = nn.Upsample(size=[9, 7], mode="bilinear", align_corners=mistake == "corners")
        self.gate = _Gate() if mistake == "slope" else nn.Hardsigmoid()
        self.second = nn.Conv2D(8, 8, 3)
        self.act = nn.SELU()
        self.mean = nn.AdaptiveAvgPool2D(1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: paddle.Tensor) -> dict[str, paddle.Tensor]:
        x = self.gate(self.resize(self.pool(self.first(x))))
        x = self.mean(self.act(self.second(x)))
        return {"logits": self.head(x.flatten(1)) * self.gain}


class _Gate(nn.Hardsigmoid):
    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return nn.functional.hardsigmoid(x, slope=0.16667)


class _Leaky(nn.AvgPool2D):
    """Its gradient is off by 1e-6: no more than float32 leaves."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return super().forward(x + 1e-6 * (x - x.detach()))


def build(settings: Mapping[str, object]) -> nn.Layer:
    model = Net(str(settings["mistake"]), float(str(settings["gain"])))
    model.eval()
    return model
