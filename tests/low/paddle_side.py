"""The port to Paddle that `settings.mistake` makes wrong (eps) or coarse (half).

Paddle 3.3.1 has no bfloat16 products on a CPU: they are computed in float32 and rounded, as other
hardware does inside.
"""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import nn
from paddle.nn import functional as F


class Net(nn.Layer):
    def __init__(self, mistake: str) -> None:
        super().__init__()
        self.is_half = mistake == "half"
        self.first = _Linear(32, 64)
        self.norm = _Norm(64, epsilon=1e-3 if mistake == "eps" else 1e-5)
        self.last = _Linear(64, 8)

    def forward(self, x: paddle.Tensor) -> dict[str, paddle.Tensor]:
        dtype = self.first.weight.dtype
        x = x.astype("float16").astype(dtype) if self.is_half else x.astype(dtype)
        hidden = F.gelu(self.first(x).astype("float32")).astype(dtype)
        logits = self.last(self.norm(hidden))
        return {"logits": logits, "scores": F.softmax(logits.astype("float32"), axis=-1)}


class _Linear(nn.Linear):
    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        wide = (each.astype("float32") for each in (x, self.weight, self.bias))
        return F.linear(*wide).astype(x.dtype)


class _Norm(nn.LayerNorm):
    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        wide, weight, bias = (each.astype("float32") for each in (x, self.weight, self.bias))
        return F.layer_norm(wide, [64], weight, bias, self._epsilon).astype(x.dtype)


def build(settings: Mapping[str, object]) -> nn.Layer:
    model = Net(str(settings["mistake"]))
    model.eval()
    return model.to(dtype=str(settings["dtype"]))
