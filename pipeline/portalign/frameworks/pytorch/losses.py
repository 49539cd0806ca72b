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
from portalign.frameworks.selection import Given
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
        return compute(Given(outputs, batch, arguments, torch.Tensor, rounds=round_scalars))

    return named


def rounded_constants(spec: Spec) -> tuple[str, ...]:
    """What `loss` rounds through float32 with `round_scalars`, in words."""
    arguments = resolve(Area.LOSS, spec)
    found = []
    if arguments.get("label_smoothing"):
        found.append(f"loss label_smoothing {arguments['label_smoothing']}: label rows as float32")
    if arguments.get("soft_labels"):
        found.append("loss soft_labels: the gradient takes each row's sum for 1, as paddle's does")
    for name in ("beta", "delta"):
        if name in arguments and arguments[name] != float(np.float32(arguments[name])):
            found.append(f"loss {name} {arguments[name]} as float32")
    return tuple(found)


def _one_number(value: object, source: str) -> torch.Tensor:
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        shape = list(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise CaptureError(
            f"{source} returned {shape}, not a tensor of one element",
            why="backward starts from one number, and torch refuses where paddle adds up silently",
            do="reduce the loss (mean or sum) in that function",
        )
    return value


def _mean(losses: torch.Tensor, given: Given) -> torch.Tensor:
    """What the framework gave, of losses that nobody reduced their mean over all elements."""
    return losses.mean() if given.arguments["reduction"] == "none" else losses


def _is_twin(given: Given) -> bool:
    return given.rounds and given.output().dtype is torch.float64


def _cross_entropy(given: Given) -> torch.Tensor:
    """As torch takes it; classes on `axis`, labels ``[...]`` or ``[..., 1]``, soft ones as the
    output.
    """
    arguments, axis = given.arguments, given.arguments["axis"]
    options = {
        "weight": _class_weights(given),
        "ignore_index": arguments["ignore_index"],
        "label_smoothing": arguments["label_smoothing"],
        "reduction": arguments["reduction"],
    }
    if arguments["soft_labels"]:
        output, target = given.pair()
        logits, labels = output.movedim(axis, 1), target.to(output.dtype).movedim(axis, 1)
    else:
        logits, labels = _by_class(given)
    has_rows = arguments["label_smoothing"] or arguments["soft_labels"]
    if has_rows and _is_twin(given) and options["weight"] is None:
        return _of_rows(logits, labels, options)
    return _mean(F.cross_entropy(logits, labels, **options), given)


def _nll(given: Given) -> torch.Tensor:
    """Of log-probabilities."""
    scores, labels = _by_class(given)
    losses = F.nll_loss(
        scores,
        labels,
        weight=_class_weights(given),
        ignore_index=given.arguments["ignore_index"],
        reduction=given.arguments["reduction"],
    )
    return _mean(losses, given)


def _by_class(given: Given) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores ``[batch, classes, ...]`` and labels ``[batch, ...]``."""
    output, target = given.classes()
    axis = given.arguments["axis"]
    if target.ndim == output.ndim and target.shape[axis] == 1:
        target = target.squeeze(axis)
    return output.movedim(axis, 1) if output.ndim > 1 else output, target.long()


def _class_weights(given: Given) -> torch.Tensor | None:
    weights = given.arguments["class_weights"]
    return given.output().new_tensor(weights) if weights else None


def _of_rows(
    logits: torch.Tensor, labels: torch.Tensor, options: Mapping[str, Json]
) -> torch.Tensor:
    """Torch's loss of label rows as paddle 3.3.1 has them, for float64.

    Paddle smooths in float32, even beside float64 logits (else twins differ by 1e-7), and its
    gradient takes the sum of a row for 1, which rows of float32 miss by 1e-8 to 1e-7.
    """
    soft, kept = _label_rows(logits, labels, options)
    whole, total = logits.logsumexp(1), soft.sum(1)
    is_whole = (total - 1).abs() <= 1e-6  # other rows are no probabilities: a real difference
    part = torch.where(is_whole, whole + whole.detach() * (total - 1), whole * total)
    losses = (part - (soft * logits).sum(1)) * kept
    if options["reduction"] == "sum":
        return losses.sum()
    is_over_kept = options["reduction"] == "mean" and not labels.is_floating_point()
    return losses.sum() / kept.sum() if is_over_kept else losses.mean()


def _label_rows(
    logits: torch.Tensor, labels: torch.Tensor, options: Mapping[str, Json]
) -> tuple[torch.Tensor, torch.Tensor]:
    """A distribution over the classes for each label, smoothed, and whether the label counts."""
    one, smoothing = np.float32(1), np.float32(options["label_smoothing"])
    n_classes = logits.shape[1]
    share = smoothing / np.float32(n_classes)
    if labels.is_floating_point():
        return float(one - smoothing) * labels + float(share), torch.ones_like(logits[:, 0])
    kept = labels != options["ignore_index"]
    hot = F.one_hot(torch.where(kept, labels, 0), n_classes).movedim(-1, 1).cpu().numpy()
    soft = (one - smoothing) * hot.astype(np.float32) + share
    return torch.from_numpy(soft).to(logits), kept


def _elementwise(function: Callable[..., torch.Tensor]) -> Callable[[Given], torch.Tensor]:
    def compute(given: Given) -> torch.Tensor:
        output, target = given.pair()
        losses = function(output, target.to(output.dtype), reduction=given.arguments["reduction"])
        return _mean(losses, given)

    return compute


def _smooth_l1(given: Given) -> torch.Tensor:
    """Paddle divides a Huber loss, whose bend it keeps in float32, by beta in double."""
    if _is_twin(given):
        return _huber_like(given, "beta") / given.arguments["beta"]
    output, target = given.pair()
    beta, reduction = float(given.arguments["beta"]), given.arguments["reduction"]
    losses = F.smooth_l1_loss(output, target.to(output.dtype), beta=beta, reduction=reduction)
    return _mean(losses, given)


def _huber(given: Given) -> torch.Tensor:
    return _huber_like(given, "delta")


def _huber_like(given: Given, argument: str) -> torch.Tensor:
    output, target = given.pair()
    bend, reduction = float(given.arguments[argument]), given.arguments["reduction"]
    bend = float(np.float32(bend)) if _is_twin(given) else bend
    losses = F.huber_loss(output, target.to(output.dtype), delta=bend, reduction=reduction)
    return _mean(losses, given)


def _bce_with_logits(given: Given) -> torch.Tensor:
    output, target = given.pair()
    weights = given.arguments["pos_weight"]
    losses = F.binary_cross_entropy_with_logits(
        output,
        target.to(output.dtype),
        pos_weight=output.new_tensor(weights) if weights else None,
        reduction=given.arguments["reduction"],
    )
    return _mean(losses, given)


def _kl(given: Given) -> torch.Tensor:
    output, target = given.pair()
    reduction, is_log = given.arguments["reduction"], given.arguments["log_target"]
    # torch 2.13 warns that its `mean` will become `batchmean`; paddle's stays the mean of all.
    own = "none" if reduction == "mean" else reduction
    losses = F.kl_div(output, target.to(output.dtype), reduction=own, log_target=is_log)
    return losses.mean() if own == "none" else losses


def _ctc(given: Given) -> torch.Tensor:
    """Of scores ``[time, batch, classes]``; torch wants log-probabilities, paddle makes them."""
    output = given.output().transpose(0, 1) if given.arguments["batch_first"] else given.output()
    losses = F.ctc_loss(
        output.log_softmax(-1),
        given.field().long(),
        given.field("input_lengths").long(),
        given.field("label_lengths").long(),
        blank=given.arguments["blank"],
        reduction=given.arguments["reduction"],
    )
    return _mean(losses, given)


def _cosine_embedding(given: Given) -> torch.Tensor:
    first, second = given.several("output", "other")
    losses = F.cosine_embedding_loss(
        first,
        second,
        given.field(),
        margin=float(given.arguments["margin"]),
        reduction=given.arguments["reduction"],
    )
    return _mean(losses, given)


def _triplet(given: Given) -> torch.Tensor:
    anchor, positive, negative = given.several("anchor", "positive", "negative")
    losses = F.triplet_margin_loss(
        anchor,
        positive,
        negative,
        margin=float(given.arguments["margin"]),
        p=float(given.arguments["p"]),
        eps=float(given.arguments["eps"]),
        swap=given.arguments["swap"],
        reduction=given.arguments["reduction"],
    )
    return _mean(losses, given)


_LOSSES: Final[Mapping[str, Callable[[Given], torch.Tensor]]] = {
    "cross_entropy": _cross_entropy,
    "nll": _nll,
    "mse": _elementwise(F.mse_loss),
    "l1": _elementwise(F.l1_loss),
    "smooth_l1": _smooth_l1,
    "huber": _huber,
    "bce_with_logits": _bce_with_logits,
    "kl": _kl,
    "ctc": _ctc,
    "cosine_embedding": _cosine_embedding,
    "triplet": _triplet,
}
