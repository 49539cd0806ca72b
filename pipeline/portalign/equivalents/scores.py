"""Every named metric in numpy, with the conventions that its name leaves open.

With the default `Convention` it is what portalign computes on both sides; where a framework's
library has no such metric it is that side's own. The analysis changes one convention at a time to
find out why two metrics differ.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from portalign.equivalents.counts import (
    Labels,
    Numbers,
    Ratio,
    averaged,
    confusion,
    f1,
    iou,
    per_class,
    precision,
    predicted,
    recall,
    share,
)
from portalign.records import Array
from portalign.request import Json

Arguments = Mapping[str, Json]
Batches = Sequence[tuple[Array, Array]]


@dataclass(frozen=True, slots=True)
class Convention:
    """How a metric settles what its name leaves open.

    Attributes:
        ties: which of equal scores comes first: the "first" or the "last" class, or the "right" or
            "wrong" one.
        batches: "pooled"; "means" of the batches' values; "full" counts a short last batch as if it
            were as long as the first; "cut" leaves it out; "loss_means" (perplexity) takes the mean
            of the batches' losses.
        is_ignored_counted: labels to be ignored count as wrong (perplexity: as tokens without
            loss).
        absent: what a class without label and prediction counts in a mean over classes; None leaves
            it out.
        positive: the class that a binary metric is of.
        scale: what the value is multiplied by.
        is_plain: without its last function: perplexity without exp, a confusion matrix transposed,
            BLEU as a mean over sentences.
        bins: of paddle.metric.Auc on probabilities; 0: every distinct score is its own.
        column: AUC orders by the scores of this class alone; None: by how far class 1 is ahead, as
            probabilities do.
        is_cut_off: losses of perplexity end at 64, as those of paddle's cross entropy on a CPU.
    """

    ties: str = "first"
    batches: str = "pooled"
    is_ignored_counted: bool = False
    absent: float | None = None
    positive: int = 1
    scale: float = 1.0
    is_plain: bool = False
    bins: int = 0
    column: int | None = None
    is_cut_off: bool = False


@dataclass(frozen=True, slots=True)
class _Scored:
    """All samples at once: scores [n, classes] float64, labels [n], which labels count [n]."""

    scores: Numbers
    labels: Labels
    kept: npt.NDArray[np.bool_]
    shape: tuple[int, ...]  # of the labels before they were flattened


def score(
    name: str, arguments: Arguments, batches: Batches, how: Convention | None = None
) -> Numbers:
    """A metric of scored batches, float64 [] (a confusion matrix: [classes, classes]).

    Args:
        name: of `arguments.METRICS`.
        arguments: as `arguments.resolve` completes them.
        batches: scores with the classes at `axis`, and integer labels of the remaining shape.
        how: what differs from portalign's own conventions.

    Raises:
        ValueError: shapes that don't fit, labels outside the classes.
    """
    how = how or Convention()
    found = [_scored(scores, labels, arguments) for scores, labels in batches]
    if how.batches == "cut" and len(found) > 1 and len(found[-1].labels) < len(found[0].labels):
        found = found[:-1]
    if how.batches in ("means", "loss_means"):
        inner = replace(how, is_plain=True) if how.batches == "loss_means" else how
        values = [np.asarray(_METRICS[name](one, arguments, inner)) for one in found]
        mean = np.mean(values, axis=0)
        value = np.exp(mean) if how.batches == "loss_means" else mean
    else:
        value = _METRICS[name](_pooled(found), arguments, how)
    if how.batches == "full":
        n_samples = sum(int(one.kept.sum()) for one in found)
        value = value * n_samples / (len(found) * int(found[0].kept.sum()))
    return np.asarray(value * how.scale, dtype=np.float64)


def _scored(scores: Array, labels: Array, a: Arguments) -> _Scored:
    last = np.moveaxis(np.asarray(scores), a["axis"], -1).astype(np.float64)
    labels = np.asarray(labels)
    if labels.shape == (*last.shape[:-1], 1):
        labels = labels[..., 0]
    if labels.shape != last.shape[:-1]:
        raise ValueError(f"scores {last.shape} with labels {labels.shape}")
    flat = labels.ravel().astype(np.int64)
    kept = flat != a["ignore_index"] if a["ignore_index"] is not None else np.ones_like(flat, bool)
    if ((flat < 0) | (flat >= last.shape[-1]))[kept].any():
        raise ValueError("labels outside the classes")
    return _Scored(last.reshape(-1, last.shape[-1]), flat, kept, labels.shape)


def _pooled(found: Sequence[_Scored]) -> _Scored:
    return _Scored(
        np.concatenate([one.scores for one in found]),
        np.concatenate([one.labels for one in found]),
        np.concatenate([one.kept for one in found]),
        (sum(one.shape[0] for one in found), *found[0].shape[1:]),
    )


def _accuracy(s: _Scored, a: Arguments, how: Convention) -> float:
    scores, labels = s.scores[s.kept], s.labels[s.kept]
    own = scores[np.arange(len(labels)), labels][:, None]
    ahead = (scores > own).sum(axis=1)
    columns = np.arange(scores.shape[1])
    rivals = {"first": columns < labels[:, None], "last": columns > labels[:, None]}.get(
        how.ties, (columns != labels[:, None]) & (how.ties == "wrong")
    )
    hits = ahead + ((scores == own) & rivals).sum(axis=1) < a["k"]
    return float(hits.sum() / (s.kept.size if how.is_ignored_counted else hits.size))


def _counted(ratio: Ratio, average: str = "") -> Callable[[_Scored, Arguments, Convention], float]:
    def compute(s: _Scored, a: Arguments, how: Convention) -> float:
        guesses = predicted(s.scores, how.ties, s.labels)
        counts = per_class(guesses[s.kept], s.labels[s.kept], s.scores.shape[1])
        if how.is_ignored_counted:
            ignored = np.bincount(guesses[~s.kept], minlength=s.scores.shape[1])
            counts = (counts[0], counts[1] + ignored, counts[2])
        kind = average or a["average"]
        return averaged(counts, ratio, kind, positive=how.positive, absent=how.absent)

    return compute


def _auc(s: _Scored, _: Arguments, how: Convention) -> float:
    scores, labels = s.scores[s.kept], s.labels[s.kept]
    gaps = scores[:, 1] - scores[:, 0] if how.column is None else scores[:, how.column]
    if labels.size == 0 or labels.min() == labels.max() or not np.isfinite(gaps).all():
        return math.nan
    if how.bins:
        with np.errstate(over="ignore"):
            gaps = np.floor(how.bins / (1.0 + np.exp(-gaps)))
    _unique, group, sizes = np.unique(gaps, return_inverse=True, return_counts=True)
    middle = (np.cumsum(sizes) - (sizes - 1) / 2)[group]  # mean rank from 1 of equal scores
    n_positive = int(labels.sum())
    n_pairs = n_positive * (len(labels) - n_positive)
    area = (middle[labels == 1].sum() - n_positive * (n_positive + 1) / 2) / n_pairs
    return float(area if how.positive else 1 - area)


def _confusion_matrix(s: _Scored, _: Arguments, how: Convention) -> Numbers:
    guesses = predicted(s.scores, how.ties, s.labels)[s.kept]
    matrix = confusion(guesses, s.labels[s.kept], s.scores.shape[1]).astype(np.float64)
    return matrix.T if how.is_plain else matrix


def _perplexity(s: _Scored, _: Arguments, how: Convention) -> float:
    scores, labels = s.scores[s.kept], s.labels[s.kept]
    if not labels.size:
        return math.nan
    below = scores - scores.max(axis=1, keepdims=True)
    if how.is_cut_off:
        below = np.maximum(below, -64.0)
    losses = np.log(np.exp(below).sum(axis=1)) - below[np.arange(len(labels)), labels]
    mean = float(losses.sum() / (s.kept.size if how.is_ignored_counted else losses.size))
    return mean if how.is_plain else math.exp(mean)


def _exact_match(s: _Scored, _: Arguments, how: Convention) -> float:
    hits = predicted(s.scores, how.ties, s.labels) == s.labels
    counts = hits if how.is_ignored_counted else hits | ~s.kept
    return float(counts.reshape(s.shape[0], -1).all(axis=1).mean())


def _bleu(s: _Scored, a: Arguments, how: Convention) -> float:
    """Corpus BLEU of the greatest scores at the positions that count; one reference each, so the
    lengths are equal and there is no brevity penalty. 0.0 where an order has no match.
    """
    guesses = predicted(s.scores, how.ties, s.labels).reshape(s.shape[0], -1)
    labels, kept = (each.reshape(s.shape[0], -1) for each in (s.labels, s.kept))
    hits, totals = np.zeros((2, s.shape[0], a["max_n"]))
    for row, (said, true, are_kept) in enumerate(zip(guesses, labels, kept, strict=True)):
        for order in range(a["max_n"]):
            found, wanted = _grams(said[are_kept], order + 1), _grams(true[are_kept], order + 1)
            hits[row, order], totals[row, order] = (found & wanted).total(), found.total()
    if not how.is_plain:
        hits, totals = hits.sum(axis=0, keepdims=True), totals.sum(axis=0, keepdims=True)
    shares = share(hits, totals)
    values = np.where((shares > 0).all(axis=1), np.exp(np.log(shares + (shares == 0)).mean(1)), 0.0)
    return float(values.mean())


def _grams(tokens: Array, n: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(tokens[at : at + n].tolist()) for at in range(len(tokens) - n + 1))


_METRICS: Final[Mapping[str, Callable[[_Scored, Arguments, Convention], float | Numbers]]] = {
    "accuracy": _accuracy,
    "precision": _counted(precision),
    "recall": _counted(recall),
    "f1": _counted(f1),
    "auc": _auc,
    "confusion_matrix": _confusion_matrix,
    "perplexity": _perplexity,
    "exact_match": _exact_match,
    "bleu": _bleu,
    "miou": _counted(iou, "macro"),
}
