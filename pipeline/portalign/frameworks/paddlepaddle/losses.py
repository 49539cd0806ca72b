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
from portalign.frameworks.selection import Given
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
        return compute(Given(outputs, batch, arguments, paddle.Tensor))

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


def _mean(losses: paddle.Tensor, given: Given) -> paddle.Tensor:
    """What the framework gave, of losses that nobody reduced their mean over all elements."""
    return losses.mean() if given.arguments["reduction"] == "none" else losses


def _cross_entropy(given: Given) -> paddle.Tensor:
    """As paddle takes it; classes on `axis`, labels ``[...]`` or ``[..., 1]``, soft ones as the
    output.
    """
    arguments = given.arguments
    output, target = given.pair() if arguments["soft_labels"] else given.classes()
    try:
        losses = F.cross_entropy(
            output,
            target.astype(output.dtype) if arguments["soft_labels"] else target,
            weight=_class_weights(given),
            ignore_index=arguments["ignore_index"],
            soft_label=arguments["soft_labels"],
            label_smoothing=float(arguments["label_smoothing"]),
            axis=arguments["axis"],
            reduction=arguments["reduction"],
        )
    except (ValueError, IndexError) as err:
        raise CaptureError(
            f"paddle's cross_entropy refuses these labels: {str(err).strip().splitlines()[0]}",
            why="a porter's call would fail the same way (it can't smooth ignored labels, for one)",
            do="look at the labels, or give your own loss functions",
        ) from err
    return _mean(losses, given)


def _nll(given: Given) -> paddle.Tensor:
    """Of log-probabilities."""
    output, target = given.classes()
    axis = given.arguments["axis"]
    if target.ndim == output.ndim and target.shape[axis] == 1:
        target = target.squeeze(axis)
    losses = F.nll_loss(
        output.moveaxis(axis, 1) if output.ndim > 1 else output,
        target.astype("int64"),
        weight=_class_weights(given),
        ignore_index=given.arguments["ignore_index"],
        reduction=given.arguments["reduction"],
    )
    return _mean(losses, given)


def _class_weights(given: Given) -> paddle.Tensor | None:
    weights = given.arguments["class_weights"]
    return paddle.to_tensor(weights, dtype=given.output().dtype) if weights else None


def _elementwise(
    function: Callable[..., paddle.Tensor], argument: str = "", option: str = "", **fixed: Json
) -> Callable[[Given], paddle.Tensor]:
    def compute(given: Given) -> paddle.Tensor:
        output, target = given.pair()
        more = {option: float(given.arguments[argument])} if argument else {}
        reduction = given.arguments["reduction"]
        losses = function(output, target.astype(output.dtype), reduction=reduction, **more, **fixed)
        return _mean(losses, given)

    return compute


def _bce_with_logits(given: Given) -> paddle.Tensor:
    output, target = given.pair()
    weights = given.arguments["pos_weight"]
    losses = F.binary_cross_entropy_with_logits(
        output,
        target.astype(output.dtype),
        pos_weight=paddle.to_tensor(weights, dtype=output.dtype) if weights else None,
        reduction=given.arguments["reduction"],
    )
    return _mean(losses, given)


def _kl(given: Given) -> paddle.Tensor:
    output, target = given.pair()
    reduction, is_log = given.arguments["reduction"], given.arguments["log_target"]
    losses = F.kl_div(output, target.astype(output.dtype), reduction=reduction, log_target=is_log)
    return _mean(losses, given)


def _ctc(given: Given) -> paddle.Tensor:
    """Of scores ``[time, batch, classes]``, of which paddle takes the softmax itself."""
    output = given.output()
    losses = F.ctc_loss(
        output.transpose([1, 0, 2]) if given.arguments["batch_first"] else output,
        given.field().astype("int32"),
        given.field("input_lengths").astype("int64"),
        given.field("label_lengths").astype("int64"),
        blank=given.arguments["blank"],
        reduction=given.arguments["reduction"],
    )
    return _mean(losses, given)


def _cosine_embedding(given: Given) -> paddle.Tensor:
    first, second = given.several("output", "other")
    losses = F.cosine_embedding_loss(
        first,
        second,
        given.field(),
        margin=float(given.arguments["margin"]),
        reduction=given.arguments["reduction"],
    )
    return _mean(losses, given)


def _triplet(given: Given) -> paddle.Tensor:
    anchor, positive, negative = given.several("anchor", "positive", "negative")
    losses = F.triplet_margin_loss(
        anchor,
        positive,
        negative,
        margin=float(given.arguments["margin"]),
        p=float(given.arguments["p"]),
        epsilon=float(given.arguments["eps"]),
        swap=given.arguments["swap"],
        reduction=given.arguments["reduction"],
    )
    return _mean(losses, given)


_LOSSES: Final[Mapping[str, Callable[[Given], paddle.Tensor]]] = {
    "cross_entropy": _cross_entropy,
    "nll": _nll,
    "mse": _elementwise(F.mse_loss),
    "l1": _elementwise(F.l1_loss),
    "smooth_l1": _elementwise(F.smooth_l1_loss, "beta", "delta", is_huber=False),
    "huber": _elementwise(F.smooth_l1_loss, "delta", "delta"),
    "bce_with_logits": _bce_with_logits,
    "kl": _kl,
    "ctc": _ctc,
    "cosine_embedding": _cosine_embedding,
    "triplet": _triplet,
}
