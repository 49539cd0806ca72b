"""Losses in paddle, by portalign's names, as a Paddle user calls them. Twin of `pytorch.losses`.

Nothing is repaired here: with ``ignore_index=-100`` paddle 3.3.1 divides by all labels where torch
divides by those it kept, and whoever ports such a loss has to see that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import paddle
import paddle.nn.functional as F

from portalign.equivalents.arguments import resolve
from portalign.equivalents.rows import Area
from portalign.errors import CaptureError
from portalign.frameworks.selection import pick_labels, pick_output, target_shape
from portalign.functions import call_function
from portalign.request import Json, Spec

LossFunction = Callable[[object, Mapping[str, paddle.Tensor]], paddle.Tensor]


def loss(
    spec: Spec, settings: Mapping[str, object], *, round_scalars: bool = False
) -> LossFunction:
    """The loss as a function of (model outputs, batch tensors) -> scalar tensor.

    Args:
        spec: a name of `arguments.TABLES`, or a porter's ``fn(outputs, batch)``.
        settings: the port's settings; a porter's function has them from its own file.
        round_scalars: ignored, paddle rounds its scalars by itself.

    Raises:
        CaptureError: unknown name or argument; when called: a missing output or field, a loss that
            is not one number, labels that paddle refuses.
    """
    arguments = resolve(Area.LOSS, spec)
    if spec.function:
        return lambda outputs, batch: _one_number(
            call_function(spec.function, outputs, batch), spec.function
        )
    compute = _LOSSES[spec.name]

    def named(outputs: object, batch: Mapping[str, paddle.Tensor]) -> paddle.Tensor:
        output = pick_output(outputs, arguments["output"], paddle.Tensor)
        return compute(output, pick_labels(batch, arguments["labels"]), arguments)

    return named


def _one_number(value: object, source: str) -> paddle.Tensor:
    if not isinstance(value, paddle.Tensor) or value.size != 1:
        shape = list(value.shape) if isinstance(value, paddle.Tensor) else type(value).__name__
        raise CaptureError(
            f"{source} returned {shape}, not a tensor of one element",
            why="backward starts from one number, and torch refuses where paddle adds up silently",
            do="reduce the loss (mean or sum) in that function",
        )
    return value


def _cross_entropy(
    output: paddle.Tensor, target: paddle.Tensor, arguments: Mapping[str, Json]
) -> paddle.Tensor:
    """Mean as paddle takes it; classes on `axis`, labels ``[...]`` or ``[..., 1]``."""
    if target.is_floating_point():
        raise CaptureError(
            f"labels are {target.dtype}, cross_entropy wants integers",
            why="the frameworks read soft labels differently",
            do="yield integer labels, or give your own loss functions",
        )
    try:
        return F.cross_entropy(
            output,
            target,
            ignore_index=arguments["ignore_index"],
            label_smoothing=float(arguments["label_smoothing"]),
            axis=arguments["axis"],
        )
    except (ValueError, IndexError) as err:
        raise CaptureError(
            f"paddle's cross_entropy refuses these labels: {str(err).strip().splitlines()[0]}",
            why="a porter's call would fail the same way (it can't smooth ignored labels, for one)",
            do="look at the labels, or give your own loss functions",
        ) from err


def _elementwise(
    function: Callable[[paddle.Tensor, paddle.Tensor], paddle.Tensor],
) -> Callable[[paddle.Tensor, paddle.Tensor, Mapping[str, Json]], paddle.Tensor]:
    def compute(
        output: paddle.Tensor, target: paddle.Tensor, _: Mapping[str, Json]
    ) -> paddle.Tensor:
        shape = target_shape(tuple(output.shape), tuple(target.shape))
        return function(output, target.reshape(shape).astype(output.dtype))

    return compute


_LOSSES: Final = {
    "cross_entropy": _cross_entropy,
    "mse": _elementwise(F.mse_loss),
    "l1": _elementwise(F.l1_loss),
    "bce_with_logits": _elementwise(F.binary_cross_entropy_with_logits),
}
