"""Optimizers and losses of the paddle candidates that no entry of the port file can get wrong."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

Rate = float | paddle.optimizer.lr.LRScheduler
Clip = paddle.nn.clip.GradientClipBase | None


def without_head(
    model: nn.Layer, rate: Rate, clip: Clip, settings: Mapping[str, object]
) -> paddle.optimizer.Optimizer:
    """Adam over all parameters but the last layer's."""
    kept = [p for name, p in model.named_parameters() if not name.startswith("fc2")]
    return paddle.optimizer.Adam(rate, parameters=kept)


def cross_entropy(outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
    return F.cross_entropy(outputs["logits"], batch["labels"])


def undivided(outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
    """Twice the loss: what two accumulated batches come to that nobody divides by two."""
    return 2 * cross_entropy(outputs, batch)
