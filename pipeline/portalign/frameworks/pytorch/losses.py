"""Losses in torch, by portalign's names, as a PyTorch user calls them.

Twin of `paddlepaddle.losses`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F

from portalign.equivalents.arguments import resolve
from portalign.equivalents.rows import Area
from portalign.errors import CaptureError
from portalign.frameworks.selection import pick_labels, pick_output, target_shape
from portalign.functions import call_function
from portalign.request import Json, Spec

LossFunction = Callable[[object, Mapping[str, torch.Tensor]], torch.Tensor]


def loss(
    spec: Spec, settings: Mapping[str, object], *, round_scalars: bool = False
) -> LossFunction:
    """The loss as a function of (model outputs, batch tensors) -> scalar tensor.

    Args:
        spec: a name of `arguments.TABLES`, or a porter's ``fn(outputs, batch)``.
        settings: the port's settings; a porter's function has them from its own file.
        round_scalars: in float64, feed torch the scalars that paddle keeps in float32.

    Raises:
        CaptureError: unknown name or argument; when called: a missing output or field, a loss that
            is not one number.
    """
    arguments = resolve(Area.LOSS, spec)
    if spec.function:
        return lambda outputs, batch: _one_number(
            call_function(spec.function, outputs, batch), spec.function
        )
    compute = _LOSSES[spec.name]

    def named(outputs: object, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        output = pick_output(outputs, arguments["output"], torch.Tensor)
        target = pick_labels(batch, arguments["labels"])
        rounds = round_scalars and output.dtype is torch.float64
        return compute(output, target, {**arguments, "rounds": rounds})

    return named


def rounded_constants(spec: Spec) -> tuple[str, ...]:
    """What `loss` rounds through float32 with `round_scalars`, in words."""
    smoothing = resolve(Area.LOSS, spec).get("label_smoothing")
    return (f"loss label_smoothing {smoothing}: label rows as float32",) if smoothing else ()


def _one_number(value: object, source: str) -> torch.Tensor:
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        shape = list(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise CaptureError(
            f"{source} returned {shape}, not a tensor of one element",
            why="backward starts from one number, and torch refuses where paddle adds up silently",
            do="reduce the loss (mean or sum) in that function",
        )
    return value


def _cross_entropy(
    output: torch.Tensor, target: torch.Tensor, arguments: Mapping[str, Json]
) -> torch.Tensor:
    """Mean over the labels that aren't ignored; classes on `axis`, labels ``[...]`` or ``[...,
    1]``."""
    axis = arguments["axis"]
    if target.is_floating_point():
        raise CaptureError(
            f"labels are {target.dtype}, cross_entropy wants integers",
            why="the frameworks read soft labels differently",
            do="yield integer labels, or give your own loss functions",
        )
    if target.ndim == output.ndim and target.shape[axis] == 1:
        target = target.squeeze(axis)
    logits = output.movedim(axis, 1) if output.ndim > 1 else output  # [batch, classes, ...]
    smoothing, ignored = arguments["label_smoothing"], arguments["ignore_index"]
    if arguments["rounds"] and smoothing:
        return _smoothed_in_float32(logits, target.long(), smoothing, ignored)
    return F.cross_entropy(logits, target.long(), ignore_index=ignored, label_smoothing=smoothing)


def _smoothed_in_float32(
    logits: torch.Tensor, target: torch.Tensor, smoothing: float, ignored: int
) -> torch.Tensor:
    """Torch's smoothed loss on the label distribution that paddle 3.3.1 computes in float32.

    Without it the twins of a correct port differ by 1e-7: paddle's label_smooth gives float32 rows
    of ``(1 - smoothing) * one_hot + smoothing / classes`` even beside float64 logits.
    """
    one, part = np.float32(1), np.float32(smoothing)
    n_classes = logits.shape[1]
    kept = target != ignored
    hot = F.one_hot(torch.where(kept, target, 0), n_classes).movedim(-1, 1).cpu().numpy()
    soft = (one - part) * hot.astype(np.float32) + part / np.float32(n_classes)
    losses = F.cross_entropy(logits, torch.from_numpy(soft).to(logits), reduction="none")
    return (losses * kept).sum() / kept.sum()


def _elementwise(
    function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> Callable[[torch.Tensor, torch.Tensor, Mapping[str, Json]], torch.Tensor]:
    def compute(output: torch.Tensor, target: torch.Tensor, _: Mapping[str, Json]) -> torch.Tensor:
        shape = target_shape(tuple(output.shape), tuple(target.shape))
        return function(output, target.reshape(shape).to(output.dtype))

    return compute


_LOSSES: Final = {
    "cross_entropy": _cross_entropy,
    "mse": _elementwise(F.mse_loss),
    "l1": _elementwise(F.l1_loss),
    "bce_with_logits": _elementwise(F.binary_cross_entropy_with_logits),
}
