"""The scored batches a metric gets, checked once for both frameworks.

What a metric may rely on afterwards: at least one sample, ``[n, classes]`` float scores and ``[n]``
int64 labels within the classes, those to be ignored left out. Edge cases that both frameworks must
answer alike are decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from portalign.equivalents.scores import score
from portalign.errors import CaptureError
from portalign.frameworks.base import MetricFunction, ScoredBatches
from portalign.functions import call_function
from portalign.records import Array
from portalign.request import Json

TEXT_METRICS = ("bleu", "exact_match")


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
    compute: Callable[[CheckedBatches], float | Array],
    arguments: Mapping[str, Json],
    *,
    n_classes: int | None = None,
) -> MetricFunction:
    """Wrap a metric so that it gets checked batches.

    A NaN anywhere in the scores makes the result NaN, whatever a library would do with it.

    Args:
        compute: the metric.
        arguments: of the metric: `axis` of the classes, `ignore_index`.
        n_classes: number of classes it needs; None: two or more.
    """

    def metric(batches: ScoredBatches) -> float | Array:
        checked = check_scores(batches, arguments["axis"], arguments["ignore_index"])
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


def text_metric(name: str, arguments: Mapping[str, Json]) -> MetricFunction:
    """A metric of whole sequences, which neither framework's own library has: counted in numpy, by
    the same code on both sides. Batches are checked as for `checked_metric`.
    """

    def metric(batches: ScoredBatches) -> float:
        checked = check_scores(batches, arguments["axis"], arguments["ignore_index"])
        if any(np.asarray(labels).ndim < 2 for _, labels in batches):
            raise _refusal(
                f"labels {list(np.asarray(batches[0][1]).shape)}, not [n, tokens]",
                f"choose another metric: {name} is of sequences",
            )
        if any(bool(np.isnan(scores).any()) for scores, _ in checked.batches):
            return float("nan")
        return float(score(name, arguments, batches))

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


def check_scores(
    batches: ScoredBatches, axis: int = -1, ignore_index: int | None = None
) -> CheckedBatches:
    """Bring scored batches to one form.

    Dimensions other than the classes' are flattened, labels may end in a dimension of 1, float16
    and bfloat16 scores become float32. Samples labelled `ignore_index` and empty batches are
    dropped.

    Raises:
        CaptureError: no sample at all, less than two classes, shapes or class counts that don't
            agree, labels that aren't integers or not within the classes.
    """
    pairs = tuple(_pair(scores, labels, axis, ignore_index) for scores, labels in batches)
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


def _pair(scores: Array, labels: Array, axis: int, ignore_index: int | None) -> tuple[Array, Array]:
    scores, labels = np.asarray(scores), np.asarray(labels)
    given = list(scores.shape)
    if scores.ndim > 1 and -scores.ndim <= axis < scores.ndim:
        scores = np.moveaxis(scores, axis, -1)
    if labels.ndim == scores.ndim and labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if scores.ndim < 2 or labels.shape != scores.shape[:-1]:
        raise _refusal(
            f"scores {given} with labels {list(labels.shape)}, not [n, classes], [n]",
            "name the field with one label per score row, or the `axis:` of the classes, or write "
            "your own metric function",
        )
    n_classes = scores.shape[-1]
    if n_classes < 2:
        raise _refusal(
            f"scores {given} with a single column",
            "return a score per class ([n, 2] if binary), or write your own metric function",
        )
    if labels.dtype.kind not in "iub":
        raise _refusal(f"labels of dtype {labels.dtype}", "yield integer labels from `batches`")
    flat = labels.reshape(-1).astype(np.int64)
    kept = np.full(flat.shape, True) if ignore_index is None else flat != ignore_index
    outside = flat[kept & ((flat < 0) | (flat >= n_classes))]
    if outside.size:
        raise _refusal(
            f"{outside.size} labels outside the {n_classes} classes, the first is {outside[0]}",
            f"give the metric `ignore_index: {outside[0]}` if they are to be ignored, or correct "
            "the labels",
        )
    wide = scores if scores.dtype in (np.float32, np.float64) else scores.astype(np.float32)
    return wide.reshape(-1, n_classes)[kept], flat[kept]


def _refusal(found: str, do: str) -> CaptureError:
    return CaptureError(found, why="a metric of it would be a number that means nothing", do=do)
