"""Metrics on the torch side: scikit-learn over all samples at once. Twin of `paddlepaddle.metrics`.

Batches are put together first, so a short last batch counts by its samples. The predicted class is
the first index of the greatest score, ties included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import torch

from portalign.equivalents.arguments import resolve
from portalign.equivalents.rows import Area
from portalign.errors import CaptureError
from portalign.frameworks.base import MetricFunction
from portalign.frameworks.scores import (
    TEXT_METRICS,
    CheckedBatches,
    check_top_k,
    checked_metric,
    text_metric,
    user_metric,
)
from portalign.records import Array
from portalign.request import Json, Spec

Arguments = Mapping[str, Json]


def metric(spec: Spec) -> MetricFunction:
    """The metric as a function of scored batches.

    - accuracy(k): share of samples whose label is among the k greatest scores; of equal scores the
      lower class index comes first. ``k`` below the number of classes, else it could not fail.
    - precision, recall, f1 (average): "binary" is of class 1 of two. Where nothing is predicted or
      labelled the value is 0.0. For "macro" a class that occurs neither in labels nor in
      predictions is left out.
    - auc: area under the ROC curve of class 1 of two. NaN when the labels are all of one class, or
      when a score is infinite.
    - confusion_matrix: counts [label, prediction] over all classes.
    - perplexity: e to the mean cross entropy over all labels, in double.
    - exact_match, bleu: of sequences [n, tokens], of the greatest score at each label.
    - miou: mean intersection over union of the classes that occur.

    Labels equal to `ignore_index` are left out of any of them. With `as_is` torch's users' own
    calls are made: `torch.topk`, probabilities for AUC, `F.cross_entropy`. NaN scores make any of
    them NaN, no sample at all is an error.

    Raises:
        CaptureError: unknown name or argument; when called: scores or labels it can't be computed
            of.
    """
    arguments = resolve(Area.METRIC, spec)
    if spec.function:
        return user_metric(spec.function)
    if spec.name in TEXT_METRICS:
        return text_metric(spec.name, arguments)
    n_classes = 2 if spec.name == "auc" or arguments.get("average") == "binary" else None
    compute = _METRICS[spec.name]
    return checked_metric(
        lambda batches: compute(batches, arguments), arguments, n_classes=n_classes
    )


def _accuracy(batches: CheckedBatches, arguments: Arguments) -> float:
    library = _library()
    k = arguments["k"]
    scores, labels = _all(batches)
    check_top_k(k, batches.n_classes)
    if arguments["as_is"]:
        best = torch.from_numpy(scores).topk(k, dim=1).indices.numpy()  # [n, k]
        return float((best == labels[:, None]).any(axis=1).mean())
    if k == 1:
        return float(library.accuracy_score(labels, scores.argmax(axis=1)))
    last = batches.n_classes - 1  # counted backwards: sklearn takes the last of equal scores
    classes = np.arange(batches.n_classes)
    return float(library.top_k_accuracy_score(last - labels, scores[:, ::-1], k=k, labels=classes))


def _counted(name: str) -> Callable[[CheckedBatches, Arguments], float]:
    def compute(batches: CheckedBatches, arguments: Arguments) -> float:
        scores, labels = _all(batches)
        score = getattr(_library(), name)
        predicted = scores.argmax(axis=1)
        return float(score(labels, predicted, average=arguments["average"], zero_division=0))

    return compute


def _auc(batches: CheckedBatches, arguments: Arguments) -> float:
    scores, labels = _all(batches)
    if labels.min() == labels.max() or not np.isfinite(scores).all():
        return float("nan")
    if arguments["as_is"]:
        chances = torch.softmax(torch.from_numpy(scores), dim=1)[:, 1].numpy()
        return float(_library().roc_auc_score(labels, chances))
    wide = scores.astype(np.float64)
    return float(_library().roc_auc_score(labels, wide[:, 1] - wide[:, 0]))  # orders as probability


def _confusion_matrix(batches: CheckedBatches, _: Arguments) -> Array:
    scores, labels = _all(batches)
    classes = np.arange(batches.n_classes)
    found: Array = _library().confusion_matrix(labels, scores.argmax(axis=1), labels=classes)
    return found


def _perplexity(batches: CheckedBatches, _: Arguments) -> float:
    scores, labels = (torch.from_numpy(each) for each in _all(batches))
    return math.exp(float(torch.nn.functional.cross_entropy(scores.double(), labels)))


def _miou(batches: CheckedBatches, _: Arguments) -> float:
    scores, labels = _all(batches)
    predicted = scores.argmax(axis=1)
    return float(_library().jaccard_score(labels, predicted, average="macro", zero_division=0))


def _library() -> Any:
    try:
        from sklearn import metrics
    except ImportError as err:
        raise CaptureError(
            f"scikit-learn can't be imported by this interpreter: {err}",
            why="the torch side computes its metrics with it",
            do="pip install scikit-learn, or give your own metric functions",
        ) from err
    return metrics


def _all(batches: CheckedBatches) -> tuple[Array, Array]:
    scores = np.concatenate([scores for scores, _ in batches.batches])  # [n, classes]
    labels = np.concatenate([labels for _, labels in batches.batches])  # [n]
    return scores, labels


_METRICS: Final[Mapping[str, Callable[[CheckedBatches, Arguments], float | Array]]] = {
    "accuracy": _accuracy,
    "precision": _counted("precision_score"),
    "recall": _counted("recall_score"),
    "f1": _counted("f1_score"),
    "auc": _auc,
    "confusion_matrix": _confusion_matrix,
    "perplexity": _perplexity,
    "miou": _miou,
}
