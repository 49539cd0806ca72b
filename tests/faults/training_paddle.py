"""Training parts of the paddle candidates that no entry of the port file can get wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.optimizer import lr

Rate = float | paddle.optimizer.lr.LRScheduler
Clip = paddle.nn.clip.GradientClipBase | None


def without_head(
    model: nn.Layer, rate: Rate, clip: Clip, settings: Mapping[str, object]
) -> paddle.optimizer.Optimizer:
    """Adam over all parameters but the last layer's."""
    kept = [p for name, p in model.named_parameters() if not name.startswith("fc2")]
    return paddle.optimizer.Adam(rate, parameters=kept)


def coupled(
    model: nn.Layer, rate: Rate, clip: Clip, settings: Mapping[str, object]
) -> paddle.optimizer.Optimizer:
    """Adam with L2 in its gradients instead of AdamW, on the same parameters."""
    for name, parameter in model.named_parameters():
        if "norm" in name or "bias" in name:
            parameter.regularizer = paddle.regularizer.L2Decay(0.0)
    return paddle.optimizer.Adam(rate, parameters=model.parameters(), weight_decay=0.01)


def clip_eps(
    model: nn.Layer, rate: Rate, clip: Clip, settings: Mapping[str, object]
) -> paddle.optimizer.Optimizer:
    return paddle.optimizer.Adam(rate, parameters=model.parameters(), grad_clip=ClipWithEps(0.05))


class ClipWithEps(paddle.nn.ClipGradByGlobalNorm):
    """Divides by the norm plus 1e-4, a hundred times what torch adds."""

    def _dygraph_clip(self, params_grads: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        norm = paddle.sqrt(sum((grad.square().sum() for _, grad in params_grads), start=0.0))
        factor = paddle.clip(self.clip_norm / (norm + 1e-4), max=1.0)
        return [(parameter, grad * factor) for parameter, grad in params_grads]


def cosine(settings: Mapping[str, object]) -> lr.LRScheduler:
    return lr.CosineAnnealingDecay(0.01, T_max=1000)


def cosine_ahead(settings: Mapping[str, object]) -> lr.LRScheduler:
    """Stepped before the optimizer's first step."""
    scheduler = cosine(settings)
    scheduler.step()
    return scheduler


def cross_entropy(outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
    return F.cross_entropy(outputs["logits"], batch["labels"])


def undivided(outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
    """Twice the loss: what two accumulated batches come to that nobody divides by two."""
    return 2 * cross_entropy(outputs, batch)
