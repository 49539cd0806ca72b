"""The perceptron ported to Paddle, with every fault it can be asked for."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from planted import Asked, Planted

N_IN, WIDTH, CLASSES = 6, 10, 4


def build(settings: Mapping[str, object]) -> nn.Layer:
    return Perceptron(Planted(settings).at())


class Perceptron(nn.Layer):
    def __init__(self, on: Asked) -> None:
        super().__init__()
        self.on = on
        self.fc1 = nn.Linear(N_IN, WIDTH)
        if on("fc1_frozen"):
            self.fc1.weight.stop_gradient = True
        momentum = 0.1 if on("norm_momentum_turned") else 0.99 if on("norm_momentum_small") else 0.9
        self.norm = nn.BatchNorm1D(WIDTH, momentum=momentum)
        mode = "downscale_in_infer" if on("dropout_unscaled") else "upscale_in_train"
        self.drop = nn.Dropout(0.3 if on("dropout_rate") else 0.2, mode=mode)
        self.fc2 = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.fc1(x)
        if self.on("norm_in_eval"):
            self.norm.eval()
        x = paddle.tanh(self.normed(x))
        if self.on("detached"):
            x = x.detach()
        if not self.on("dropout_missing"):
            x = self.drop(x)
        return {"logits": self.fc2(x)}

    def normed(self, x: Tensor) -> Tensor:
        norm = self.norm
        if self.on("norm_not_kept") and self.training:
            mean, variance = norm._mean.clone(), norm._variance.clone()
            return F.batch_norm(x, mean, variance, norm.weight, norm.bias, training=True)
        return norm(x)
