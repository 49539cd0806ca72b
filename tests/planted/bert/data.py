"""Batches of the planted port, right and wrong, and metrics that differ in one detail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np
import numpy.typing as npt

from portalign.ports.bert import data

Batch = dict[str, npt.NDArray[np.int64]]
Scored = list[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]


def batches(settings: Mapping[str, object]) -> Iterator[Batch]:
    """The first `n_batches` of the shipped ones; the last is cut to five rows."""
    n_batches = int(str(settings["n_batches"]))
    for index, batch in enumerate(islice(data.batches(settings), n_batches)):
        n_rows = 5 if index == n_batches - 1 else None
        yield {name: array[:n_rows] for name, array in batch.items()}


def without_the_last(settings: Mapping[str, object]) -> Iterator[Batch]:
    """What `drop_last=True` does."""
    yield from (batch for batch in batches(settings) if len(batch["labels"]) == data.BATCH_SIZE)


def shifted_labels(settings: Mapping[str, object]) -> Iterator[Batch]:
    """Every label stands one row too far down in the third batch."""
    for index, batch in enumerate(batches(settings)):
        yield {**batch, "labels": np.roll(batch["labels"], 1)} if index == 2 else batch


def narrow_ids(settings: Mapping[str, object]) -> Iterator[Batch]:
    """The same numbers in int32."""
    for batch in batches(settings):
        yield {name: array.astype(np.int32) for name, array in batch.items()}  # type: ignore[misc]


def shuffled(settings: Mapping[str, object]) -> Iterator[Batch]:
    """The same examples, the first two batches exchanged."""
    first, second, *rest = batches(settings)
    yield from (second, first, *rest)


def last_of_ties(scored: Scored) -> float:
    """Accuracy that takes the last class among equal scores."""
    hits = [scores.shape[1] - 1 - scores[:, ::-1].argmax(axis=1) == y for scores, y in scored]
    return float(np.concatenate(hits).mean())


def mean_of_means(scored: Scored) -> float:
    """Accuracy averaged over batches as if all were of one size."""
    return float(np.mean([(scores.argmax(axis=1) == y).mean() for scores, y in scored]))


def f1_of_class_zero(scored: Scored) -> float:
    """F1 of the other class."""
    scores, labels = (np.concatenate(parts) for parts in zip(*scored, strict=True))
    said, true = scores.argmax(axis=1) == 0, labels == 0
    both = int((said & true).sum())
    return 2 * both / int(said.sum() + true.sum()) if both else 0.0


def auc_of_class_zero(scored: Scored) -> float:
    """Area under the ROC curve of the other class's score."""
    scores, labels = (np.concatenate(parts) for parts in zip(*scored, strict=True))
    gaps = scores[labels == 1, :1] - scores[labels == 0, :1].T  # [positives, negatives]
    return float(((gaps > 0) + 0.5 * (gaps == 0)).mean()) if gaps.size else 0.0


def first_of_ties(scored: Scored) -> float:
    """Accuracy that takes the first class among equal scores, as both frameworks do."""
    return float(np.concatenate([scores.argmax(axis=1) == y for scores, y in scored]).mean())
