"""What cross entropy computes in torch 2.13 and in paddle 3.3.1, value and gradient, in float64.

The two agree for class indices without more; they differ in what the mean divides by where labels
are ignored, in what class weights multiply beside soft or smoothed labels, and in that paddle's
CPU kernel takes no logit for farther than 64 below the greatest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from portalign.diagnose.known.updates import Numbers
from portalign.records import Array
from portalign.request import Json

_CUT: Final = 64.0


@final
@dataclass(frozen=True, slots=True)
class Loss:
    """A loss, its gradient at the logits in their shape, and what its sum was divided by."""

    value: float
    gradient: Numbers
    whole: float


@final
@dataclass(frozen=True, slots=True)
class _Rows:
    """Logits and labels with the classes last, one row for each label.

    Attributes:
        soft: the label's distribution over the classes.
        kept: 1 where the label counts, 0 where it is ignored.
        weights: of the classes.
        indices: of the label's class; 0 where it is none.
        is_soft: labels were distributions or are smoothed.
    """

    logits: Numbers
    soft: Numbers
    kept: Numbers
    weights: Numbers
    indices: npt.NDArray[np.int64]
    is_soft: bool


def in_torch(logits: Numbers, labels: Array, arguments: Mapping[str, Json]) -> Loss:
    """As torch.nn.functional.cross_entropy.

    Args:
        logits: ``[..., classes, ...]``, classes on ``axis``.
        labels: class indices, without that axis, or distributions of the logits' shape.
        arguments: of portalign's ``cross_entropy``.
    """
    weighs = bool(arguments["class_weights"])
    rows = _rows(logits, labels, arguments, is_single=not weighs)
    power = _log_softmax(rows.logits)
    terms = rows.soft * rows.weights * rows.kept[:, None]  # [rows, classes]
    losses = -(terms * power).sum(1)
    total = terms.sum(1) if weighs else _whole(rows.soft.sum(1)) * rows.kept
    slopes = np.exp(power) * total[:, None] - terms
    if arguments["soft_labels"]:
        whole = float(len(losses))
    else:
        whole = float((rows.kept * rows.weights[rows.indices]).sum())
    return _reduced(losses, slopes, whole, logits, arguments)


def in_paddle(
    logits: Numbers, labels: Array, arguments: Mapping[str, Json], *, is_cut: bool
) -> Loss:
    """As paddle.nn.functional.cross_entropy; arguments as for torch's.

    Args:
        is_cut: with the kernel's cut of far logits.
    """
    rows = _rows(logits, labels, arguments, is_single=True)
    power = _log_softmax(rows.logits)
    seen = _log_softmax(rows.logits, cut=_CUT) if is_cut else power
    n_rows, n_classes = rows.soft.shape
    kept = np.ones(n_rows) if rows.is_soft else rows.kept
    weighs = bool(arguments["class_weights"])
    weight = rows.soft @ rows.weights if weighs else np.ones(n_rows)
    losses = -(rows.soft * seen).sum(1) * kept * weight
    slopes = (np.exp(power) - rows.soft) * (kept * weight)[:, None]
    n_labels = n_classes if rows.is_soft and arguments["ignore_index"] >= 0 else 1
    if weighs or arguments["ignore_index"] >= 0:
        whole = float((kept * weight).sum()) * n_labels
    else:
        whole = float(n_rows)
    return _reduced(losses, slopes, whole, logits, arguments)


def _whole(total: Numbers) -> Numbers:
    """Sums of label rows as torch's twin takes them: 1 where only float32 misses it."""
    return np.where(np.abs(total - 1.0) <= 1e-6, 1.0, total)


def _reduced(
    losses: Numbers, slopes: Numbers, whole: float, logits: Numbers, arguments: Mapping[str, Json]
) -> Loss:
    over = {"mean": whole, "sum": 1.0, "none": float(len(losses))}[arguments["reduction"]]
    shape = np.moveaxis(logits, arguments["axis"], -1).shape
    with np.errstate(all="ignore"):  # nothing kept: NaN, as torch
        gradient = np.moveaxis((slopes / over).reshape(shape), -1, arguments["axis"])
        return Loss(float(losses.sum() / np.float64(over)), gradient, over)


def _rows(
    logits: Numbers, labels: Array, arguments: Mapping[str, Json], *, is_single: bool
) -> _Rows:
    """Logits and labels, row by row.

    Args:
        is_single: labels are smoothed in float32, as paddle does and torch's twin without weights.
    """
    flat = np.moveaxis(logits, arguments["axis"], -1)
    flat = flat.reshape(-1, flat.shape[-1])
    n_rows, n_classes = flat.shape
    weights = np.asarray(arguments["class_weights"] or np.ones(n_classes), np.float64)
    part, share = _smoothing(arguments["label_smoothing"], n_classes, is_single=is_single)
    if arguments["soft_labels"]:
        given = np.moveaxis(np.asarray(labels, np.float64), arguments["axis"], -1)
        soft = part * given.reshape(-1, n_classes) + share
        nothing = np.zeros(n_rows, np.int64)
        return _Rows(flat, soft, np.ones(n_rows), weights, nothing, is_soft=True)
    named = np.asarray(labels, np.int64).reshape(-1)
    kept = named != arguments["ignore_index"]
    indices = np.where((named >= 0) & (named < n_classes), named, 0)
    hot = part * np.eye(n_classes)[indices] + share
    soft = hot.astype(np.float32).astype(np.float64) if is_single else hot
    is_soft = bool(arguments["label_smoothing"])
    return _Rows(flat, soft, kept.astype(np.float64), weights, indices, is_soft)


def _smoothing(smoothing: float, n_classes: int, *, is_single: bool) -> tuple[float, float]:
    """What a label keeps, and what each class gets."""
    if not is_single:
        return 1.0 - smoothing, smoothing / n_classes
    single = np.float32(smoothing)
    return float(np.float32(1) - single), float(single / np.float32(n_classes))


def _log_softmax(logits: Numbers, *, cut: float = np.inf) -> Numbers:
    below = np.maximum(logits - logits.max(1, keepdims=True), -cut)
    result: Numbers = below - np.log(np.exp(below).sum(1, keepdims=True))
    return result
