"""The scored batches a metric gets, checked once for both frameworks.

What a metric may rely on afterwards: at least one sample, ``[n, classes]`` float scores and ``[n]``
int64 labels within the classes. Edge cases that both frameworks must answer alike are decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from portalign.errors import CaptureError
from portalign.frameworks.base import MetricFunction, ScoredBatches
from portalign.functions import call_function
from portalign.records import Array


@dataclass(frozen=True, slots=True)
class CheckedBatches:
    """Batches a metric can be computed from: never empty, labels within the classes.

    Attributes:
        batches: (scores ``[n, classes]`` float32 or float64, labels ``[n]`` int64), n may differ.
        n_classes: columns of every score array.
    """

    batches: tuple[tuple[Array, Array], ...]
    n_classes: int


def checked_metric(
    compute: Callable[[CheckedBatches], float], *, n_classes: int | None = None
) -> MetricFunction:
    """Wrap a metric so that it gets checked batches.

    A NaN anywhere in the scores makes the result NaN, whatever a library would do with it.

    Args:
        compute: the metric.
        n_classes: number of classes it needs; None: two or more.
    """

    def metric(batches: ScoredBatches) -> float:
        checked = check_scores(batches)
        if n_classes is not None and checked.n_classes != n_classes:
            raise CaptureError(
                f"the scores have {checked.n_classes} classes, this metric needs {n_classes}",
                why="a binary metric of several classes is not defined",
                do="set `average: macro` (or micro, weighted), or choose another metric",
            )
        if any(bool(np.isnan(scores).any()) for scores, _ in checked.batches):
            return float("nan")
        return compute(checked)

    return metric


def user_metric(reference: str) -> MetricFunction:
    """A porter's own metric: its batches as they are, its result checked to be one number.

    Raises:
        CaptureError: when called: the function can't be loaded, raised, or returned no number.
    """

    def metric(batches: ScoredBatches) -> float:
        value = call_function(reference, list(batches))
        try:
            return float(value)
        except (TypeError, ValueError) as err:
            raise CaptureError(
                f"{reference} returned a {type(value).__name__}, not a number",
                why="a metric is compared as one number",
                do="return a float from that function",
            ) from err

    return metric


def check_scores(batches: ScoredBatches) -> CheckedBatches:
    """Bring scored batches to one form.

    Leading dimensions are flattened, labels may end in a dimension of 1, float16 and bfloat16
    scores become float32. Empty batches are dropped.

    Raises:
        CaptureError: no sample at all, less than two classes, shapes or class counts that don't
            agree, labels that aren't integers or not within the classes.
    """
    pairs = tuple(_pair(scores, labels) for scores, labels in batches)
    counts = {scores.shape[1] for scores, _ in pairs}
    full = tuple(pair for pair in pairs if pair[1].size)
    if not full:
        raise _refusal("no scored sample", "let `batches` yield at least one batch")
    if len(counts) != 1:
        raise _refusal(
            f"batches with {sorted(counts)} classes",
            "return the same number of scores for every sample",
        )
    return CheckedBatches(full, counts.pop())


def check_top_k(k: int, n_classes: int) -> None:
    """Refuse a top-k accuracy that is 1.0 whatever the model computes.

    Raises:
        CaptureError: k is the number of classes or more.
    """
    if k >= n_classes:
        raise CaptureError(
            f"accuracy with k={k} of {n_classes} classes",
            why="it is 1.0 whatever the model computes",
            do="choose a smaller k under `metrics:` in the port file",
        )


def _pair(scores: Array, labels: Array) -> tuple[Array, Array]:
    scores, labels = np.asarray(scores), np.asarray(labels)
    if labels.ndim == scores.ndim and labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if scores.ndim < 2 or labels.shape != scores.shape[:-1]:
        raise _refusal(
            f"scores {list(scores.shape)} with labels {list(labels.shape)}, not [n, classes], [n]",
            "name the field with one label per score row, or write your own metric function",
        )
    n_classes = scores.shape[-1]
    if n_classes < 2:
        raise _refusal(
            f"scores {list(scores.shape)} with a single column",
            "return a score per class ([n, 2] if binary), or write your own metric function",
        )
    if labels.dtype.kind not in "iub":
        raise _refusal(f"labels of dtype {labels.dtype}", "yield integer labels from `batches`")
    flat = labels.reshape(-1).astype(np.int64)
    outside = flat[(flat < 0) | (flat >= n_classes)]
    if outside.size:
        raise _refusal(
            f"{outside.size} labels outside the {n_classes} classes, the first is {outside[0]}",
            "leave ignored positions out with your own metric function, or correct the labels",
        )
    wide = scores if scores.dtype in (np.float32, np.float64) else scores.astype(np.float32)
    return wide.reshape(-1, n_classes), flat


def _refusal(found: str, do: str) -> CaptureError:
    return CaptureError(found, why="a metric of it would be a number that means nothing", do=do)
