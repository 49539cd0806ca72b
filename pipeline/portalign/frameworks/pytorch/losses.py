"""Losses in torch, by portalign's names, as a PyTorch user calls them.

Twin of `paddlepaddle.losses`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F

from portalign.errors import CaptureError
from portalign.frameworks.arguments import Group, resolve
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
    arguments = resolve(Group.LOSS, spec)
    if spec.function:
        return lambda outputs, batch: _one_number(
            call_function(spec.function, outputs, batch), spec.function
        )
    compute = _LOSSES[spec.name]

    def named(outputs: object, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        output = pick_output(outputs, arguments["output"], torch.Tensor)
        target = pick_labels(batch, arguments["labels"])
        rounds = round_scalars and output.dtype is torch.float64
        return compute(output, target, _rounded(arguments) if rounds else arguments)

    return named


def rounded_constants(spec: Spec) -> tuple[str, ...]:
    """What `loss` rounds through float32 with `round_scalars`, in words."""
    smoothing = resolve(Group.LOSS, spec).get("label_smoothing")
    return (f"loss label_smoothing {smoothing} as float32",) if smoothing else ()


def _rounded(arguments: Mapping[str, Json]) -> Mapping[str, Json]:
    # paddle 3.3.1 keeps label_smooth's epsilon in float32: 1e-9 of the loss when torch doesn't
    smoothing = float(np.float32(arguments.get("label_smoothing", 0.0)))
    return {**arguments, "label_smoothing": smoothing}


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
    return F.cross_entropy(
        output.movedim(axis, 1) if output.ndim > 1 else output,  # [batch, classes, ...]
        target.long(),
        ignore_index=arguments["ignore_index"],
        label_smoothing=arguments["label_smoothing"],
    )


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
