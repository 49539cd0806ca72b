"""The candidate: the ResNet-18 of Paddle's own model zoo, as a Paddle porter would take it."""

from __future__ import annotations

from collections.abc import Mapping

import paddle


def build(settings: Mapping[str, object]) -> paddle.nn.Layer:
    """``paddle.vision.models.resnet18`` with a head for ten digits; its input is called ``x``.

    Its weights are Paddle's initial ones: portalign puts the reference's in their place.
    """
    model = paddle.vision.models.resnet18(num_classes=10)
    model.eval()
    return model
