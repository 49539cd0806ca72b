"""Predictions made up to tell two implementations of a metric apart, always the same.

The capture arm scores them with each side's metric, the analysis with every convention it tries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from portalign.records import Array

Scored = list[tuple[Array, Array]]
_N_ROWS, _BATCH, _N_LAST = 40, 8, 5
_MOST = 4_000_000  # scores a case may hold; a large vocabulary gets fewer rows


def crafted_cases(
    shape: Sequence[int], *, axis: int = -1, ignore_index: int | None = None
) -> Mapping[str, Scored]:
    """Batches that part two implementations: ties, a class without labels, one without predictions
    either, a short last batch, and labels to be ignored where there are such.

    Args:
        shape: of a batch of scores [n, ...] with the classes at `axis`; more dimensions stand for
            tokens (6 of them) or pixels (4 x 4).
        axis, ignore_index: of the metric.

    Returns:
        Scored batches by name; empty for scores without a class axis of two or more.
    """
    if len(shape) < 2 or not -len(shape) <= axis < len(shape) or axis % len(shape) == 0:
        return {}
    n_classes = shape[axis]
    inner = {2: (), 3: (6,)}.get(len(shape), (4,) * (len(shape) - 2))
    if n_classes < 2:
        return {}
    n_batches = min(_N_ROWS, _MOST // (n_classes * math.prod(inner))) // _BATCH
    n_rows = max(n_batches, 2) * _BATCH
    random = np.random.default_rng(0)
    logits = random.normal(size=(n_rows, *inner, n_classes)).astype(np.float32)
    labels = random.integers(0, n_classes, size=(n_rows, *inner))
    if inner:  # sequences match nowhere by chance: let most labels be predicted
        is_known = random.random(size=(*labels.shape, 1)) < 0.7
        logits += 9 * is_known * (np.arange(n_classes) == labels[..., None])
    n_short = n_rows - _BATCH + _N_LAST
    cases = {
        "ties": (np.round(logits), labels),  # coarse scores: equal maxima in many rows
        "absent_class": (logits, labels % max(n_classes - 1, 1)),
        "short_last_batch": (logits[:n_short], labels[:n_short]),
    }
    if n_classes > 2:  # neither a label nor a prediction
        unseen = np.where(np.arange(n_classes) == n_classes - 1, logits.min() - 1, logits)
        cases["unseen_class"] = (unseen.astype(np.float32), labels % (n_classes - 1))
    if ignore_index is not None:
        ignored = np.where(random.random(size=labels.shape) < 0.25, ignore_index, labels)
        cases["ignored_labels"] = (logits, ignored)
    return {
        name: _split(np.moveaxis(scores, -1, axis), wanted.astype(np.int64))
        for name, (scores, wanted) in cases.items()
    }


def _split(scores: Array, labels: Array) -> Scored:
    return [
        (scores[start : start + _BATCH], labels[start : start + _BATCH])
        for start in range(0, len(scores), _BATCH)
    ]
