"""Predictions counted against labels, class by class, and the ratios that metrics make of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from portalign.records import Array

Numbers = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Counts = tuple[Numbers, Numbers, Numbers]  # of each class: hits, predictions, labels
Ratio = Callable[[Numbers, Numbers, Numbers], Numbers]


def predicted(scores: Numbers, ties: str = "first", labels: Labels | None = None) -> Labels:
    """The class of the greatest score of each row [n]; ties as `scores.Convention` has them."""
    first = np.asarray(scores.argmax(axis=1), dtype=np.int64)
    if ties == "first":
        return first
    last: Labels = scores.shape[1] - 1 - np.asarray(scores[:, ::-1].argmax(axis=1), dtype=np.int64)
    if ties == "last" or labels is None:
        return last
    inside = np.clip(labels, 0, scores.shape[1] - 1)
    is_hit = scores[np.arange(len(scores)), inside] == scores.max(axis=1)
    if ties == "right":
        return np.where(is_hit, inside, first)
    return np.where(first == inside, last, first)


def confusion(predictions: Array, labels: Array, n_classes: int) -> Labels:
    """How often each class was predicted for each label [label, prediction]."""
    flat = n_classes * np.asarray(labels, np.int64) + np.asarray(predictions, np.int64)
    return np.bincount(flat, minlength=n_classes**2).reshape(n_classes, n_classes)


def per_class(predictions: Array, labels: Array, n_classes: int) -> Counts:
    """Hits, predictions and labels of each class, each float64 [classes]."""
    hits, said, true = (
        np.bincount(each, minlength=n_classes).astype(np.float64)
        for each in (labels[predictions == labels], predictions, labels)
    )
    return hits, said, true


def share(part: Numbers, whole: Numbers) -> Numbers:
    """Their ratio, 0.0 where there is nothing to have a share of."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def precision(hits: Numbers, said: Numbers, true: Numbers) -> Numbers:
    """Of each class: what share of its predictions is right."""
    return share(hits, said)


def recall(hits: Numbers, said: Numbers, true: Numbers) -> Numbers:
    """Of each class: what share of its labels is found."""
    return share(hits, true)


def f1(hits: Numbers, said: Numbers, true: Numbers) -> Numbers:
    """Of each class: the harmonic mean of precision and recall."""
    return share(2 * hits, said + true)


def iou(hits: Numbers, said: Numbers, true: Numbers) -> Numbers:
    """Of each class: intersection over union."""
    return share(hits, said + true - hits)


def averaged(
    counts: Counts, ratio: Ratio, average: str, *, positive: int = 1, absent: float | None = None
) -> float:
    """A ratio of hits, predictions and labels, averaged over the classes.

    Args:
        counts: of `per_class`.
        average: "binary" (of class `positive`), "macro", "micro" or "weighted" by labels.
        absent: what a class that occurs neither in labels nor in predictions counts; None leaves it
            out.
    """
    if average == "binary":
        return float(ratio(*counts)[positive])
    if average == "micro":
        hits, said, true = (each.sum(keepdims=True) for each in counts)
        return float(ratio(hits, said, true)[0])
    _, said, true = counts
    occurs = said + true > 0
    values = np.where(occurs, ratio(*counts), absent or 0.0)
    if absent is None:
        values, true = values[occurs], true[occurs]
    return float(np.average(values, weights=true if average == "weighted" else None))
