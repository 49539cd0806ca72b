"""The candidate: Paddle's ResNet-18 with one mistake; `settings.mistake` names a function below."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from paddle import nn

from portalign.ports.resnet import paddle_side as shipped


def build(settings: Mapping[str, object]) -> nn.Layer:
    model = shipped.build(settings)
    if settings["mistake"] != "none":
        MISTAKES[str(settings["mistake"])](model)
    model.eval()
    return model


def _norm_epsilon(model: Any) -> None:
    model.layer2[0].bn1 = nn.BatchNorm2D(128, epsilon=1.0e-3)


def _average_pool(model: Any) -> None:
    model.maxpool = nn.AvgPool2D(3, 2, padding=1)


MISTAKES: dict[str, Callable[[Any], None]] = {
    "norm_epsilon": _norm_epsilon,
    "average_pool": _average_pool,
}
