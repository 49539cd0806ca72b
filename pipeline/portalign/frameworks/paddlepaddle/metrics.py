"""Metrics on the paddle side: `paddle.metric` fed batch by batch. Twin of `pytorch.metrics`.

Where paddle's metric leaves something open, it is called as a careful porter would: see `metric`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import paddle

from portalign.equivalents.arguments import resolve
from portalign.equivalents.rows import Area
from portalign.frameworks.base import MetricFunction
from portalign.frameworks.scores import CheckedBatches, check_top_k, checked_metric, user_metric
from portalign.records import Array
from portalign.request import Json, Spec

Counts = npt.NDArray[np.float64]  # per class


def metric(spec: Spec) -> MetricFunction:
    """The metric as a function of scored batches. Twin of `pytorch.metrics.metric`.

    The values mean what they mean there; this is how paddle is called for them:

    - accuracy: `paddle.metric.Accuracy`, fed from a stable sort. Its own ``compute`` sorts
      unstably: from 17 classes on equal scores come in any order (of 50 rows of 40 tied scores
      11 % of the positions were those of a stable sort).
    - precision, recall, f1 of two classes: `paddle.metric.Precision` and ``Recall`` on predicted
      classes. On probabilities a tie at 0.5 would be class 1 to the one and class 0 to the other.
    - precision, recall, f1 averaged over classes: paddle has none; counted per class in numpy.
    - auc: `paddle.metric.Auc` on the ranks of the scores, a bin for each distinct score. On softmax
      probabilities scores of one bin tie: with 2^20 bins it differs from scikit-learn by up to
      5e-5 for logits of a few units and by 7e-3 for logits of ten, where float32 chances are 1.
    """
    arguments = resolve(Area.METRIC, spec)
    if spec.function:
        return user_metric(spec.function)
    n_classes = 2 if spec.name == "auc" or arguments.get("average") == "binary" else None
    compute = _METRICS[spec.name]
    return checked_metric(lambda batches: compute(batches, arguments), n_classes=n_classes)


def _accuracy(batches: CheckedBatches, arguments: Mapping[str, Json]) -> float:
    k = arguments["k"]
    check_top_k(k, batches.n_classes)
    accuracy = paddle.metric.Accuracy(topk=(k,))
    for scores, labels in batches.batches:
        ranked = paddle.argsort(paddle.to_tensor(scores), descending=True, stable=True)[:, :k]
        hits = ranked == paddle.to_tensor(labels).unsqueeze(1)  # [n, k]
        accuracy.update(hits.astype("float32"))
    return float(accuracy.accumulate())


def _precision(batches: CheckedBatches, arguments: Mapping[str, Json]) -> float:
    if arguments["average"] == "binary":
        return _binary(paddle.metric.Precision(), batches)
    return _averaged(batches, arguments["average"], lambda hits, said, _: _share(hits, said))


def _recall(batches: CheckedBatches, arguments: Mapping[str, Json]) -> float:
    if arguments["average"] == "binary":
        return _binary(paddle.metric.Recall(), batches)
    return _averaged(batches, arguments["average"], lambda hits, _, true: _share(hits, true))


def _f1(batches: CheckedBatches, arguments: Mapping[str, Json]) -> float:
    if arguments["average"] != "binary":
        return _averaged(
            batches, arguments["average"], lambda hits, said, true: _share(2 * hits, said + true)
        )
    precision = _binary(paddle.metric.Precision(), batches)
    recall = _binary(paddle.metric.Recall(), batches)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _auc(batches: CheckedBatches, _arguments: Mapping[str, Json]) -> float:
    classes = {int(label) for _, labels in batches.batches for label in np.unique(labels)}
    if len(classes) < 2 or not all(np.isfinite(scores).all() for scores, _ in batches.batches):
        return float("nan")  # paddle says 0.0, as of a classifier that is always wrong
    wide = [scores.astype(np.float64) for scores, _ in batches.batches]
    distinct = np.unique(np.concatenate([scores[:, 1] - scores[:, 0] for scores in wide]))
    auc = paddle.metric.Auc(num_thresholds=len(distinct))
    for scores, (_, labels) in zip(wide, batches.batches, strict=True):
        ranks = np.searchsorted(distinct, scores[:, 1] - scores[:, 0])
        chances = (ranks + 0.5) / len(distinct)  # the middle of bin `rank`
        auc.update(np.stack([1 - chances, chances], axis=1), labels[:, None])
    return float(auc.accumulate())


def _binary(counter: paddle.metric.Metric, batches: CheckedBatches) -> float:
    for scores, labels in batches.batches:
        counter.update(_predicted(scores).astype(np.float32), labels)
    return float(counter.accumulate())


def _averaged(
    batches: CheckedBatches, average: str, ratio: Callable[[Counts, Counts, Counts], Counts]
) -> float:
    """Macro, micro or weighted mean of a ratio of (hits, predicted, labelled), each counted per
    class."""
    hits, said, true = np.zeros((3, batches.n_classes))
    for scores, labels in batches.batches:
        predicted = _predicted(scores)
        hits += np.bincount(labels[predicted == labels], minlength=batches.n_classes)
        said += np.bincount(predicted, minlength=batches.n_classes)
        true += np.bincount(labels, minlength=batches.n_classes)
    if average == "micro":
        return float(
            ratio(hits.sum(keepdims=True), said.sum(keepdims=True), true.sum(keepdims=True))[0]
        )
    occurs = said + true > 0
    values = ratio(hits, said, true)[occurs]
    return float(np.average(values, weights=true[occurs] if average == "weighted" else None))


def _share(part: Counts, whole: Counts) -> Counts:
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def _predicted(scores: Array) -> Array:
    classes: Array = paddle.argmax(paddle.to_tensor(scores), axis=1).numpy()  # first of equals
    return classes


_METRICS: Final = {
    "accuracy": _accuracy,
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
    "auc": _auc,
}
