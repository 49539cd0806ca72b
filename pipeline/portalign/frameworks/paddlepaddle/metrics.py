"""Metrics on the paddle side: `paddle.metric` fed batch by batch. Twin of `pytorch.metrics`.

Where paddle's metric leaves something open, it is called as a careful porter would: see `metric`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import paddle

from portalign.equivalents.arguments import resolve
from portalign.equivalents.counts import (
    Labels,
    Ratio,
    averaged,
    confusion,
    f1,
    iou,
    per_class,
    precision,
    recall,
)
from portalign.equivalents.rows import Area
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
    """The metric as a function of scored batches. Twin of `pytorch.metrics.metric`.

    The values mean what they mean there; this is how paddle is called for them:

    - accuracy: `paddle.metric.Accuracy`, fed from a stable sort. Its own ``compute`` sorts
      unstably: from 17 classes on equal scores come in any order (of 50 rows of 40 tied scores
      11 % of the positions were those of a stable sort).
    - precision, recall, f1 of two classes: `paddle.metric.Precision` and ``Recall`` on predicted
      classes. On probabilities a tie at 0.5 would be class 1 to the one and class 0 to the other.
    - precision, recall, f1 averaged over classes, confusion_matrix, miou: paddle has none; counted
      per class in numpy.
    - auc: `paddle.metric.Auc` on the ranks of the scores, a bin for each distinct score. On softmax
      probabilities scores of one bin tie: with 2^20 bins it differs from scikit-learn by up to
      5e-5 for logits of a few units and by 7e-3 for logits of ten, where float32 chances are 1.
    - perplexity: from `paddle.logsumexp`; its cross entropy on a CPU ends at 64.

    With `as_is` paddle's users' own calls are made: `Accuracy.compute`, `Precision`, `Recall` and
    `Auc()` on probabilities, `F.cross_entropy`.
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
    k = arguments["k"]
    check_top_k(k, batches.n_classes)
    accuracy = paddle.metric.Accuracy(topk=(k,))
    for scores, labels in batches.batches:
        live, wanted = paddle.to_tensor(scores), paddle.to_tensor(labels).unsqueeze(1)
        if arguments["as_is"]:
            accuracy.update(accuracy.compute(live, wanted))
            continue
        ranked = paddle.argsort(live, descending=True, stable=True)[:, :k]
        accuracy.update((ranked == wanted).astype("float32"))  # [n, k]
    return float(accuracy.accumulate())


def _precision(batches: CheckedBatches, arguments: Arguments) -> float:
    if arguments["average"] == "binary":
        return _binary(paddle.metric.Precision(), batches, arguments)
    return _averaged(batches, precision, arguments["average"])


def _recall(batches: CheckedBatches, arguments: Arguments) -> float:
    if arguments["average"] == "binary":
        return _binary(paddle.metric.Recall(), batches, arguments)
    return _averaged(batches, recall, arguments["average"])


def _f1(batches: CheckedBatches, arguments: Arguments) -> float:
    if arguments["average"] != "binary":
        return _averaged(batches, f1, arguments["average"])
    right = _binary(paddle.metric.Precision(), batches, arguments)
    found = _binary(paddle.metric.Recall(), batches, arguments)
    return 2 * right * found / (right + found) if right + found else 0.0


def _auc(batches: CheckedBatches, arguments: Arguments) -> float:
    classes = {int(label) for _, labels in batches.batches for label in np.unique(labels)}
    if len(classes) < 2 or not all(np.isfinite(scores).all() for scores, _ in batches.batches):
        return float("nan")  # paddle says 0.0, as of a classifier that is always wrong
    if arguments["as_is"]:
        auc = paddle.metric.Auc()
        for scores, labels in batches.batches:
            auc.update(_chances(scores), labels[:, None])
        return float(auc.accumulate())
    wide = [scores.astype(np.float64) for scores, _ in batches.batches]
    distinct = np.unique(np.concatenate([scores[:, 1] - scores[:, 0] for scores in wide]))
    auc = paddle.metric.Auc(num_thresholds=len(distinct))
    for scores, (_, labels) in zip(wide, batches.batches, strict=True):
        ranks = np.searchsorted(distinct, scores[:, 1] - scores[:, 0])
        chances = (ranks + 0.5) / len(distinct)  # the middle of bin `rank`
        auc.update(np.stack([1 - chances, chances], axis=1), labels[:, None])
    return float(auc.accumulate())


def _confusion_matrix(batches: CheckedBatches, _: Arguments) -> Array:
    n_classes = batches.n_classes
    total = np.zeros((n_classes, n_classes), dtype=np.int64)
    for scores, labels in batches.batches:
        total += confusion(_predicted(scores), labels, n_classes)
    return total


def _perplexity(batches: CheckedBatches, arguments: Arguments) -> float:
    total, n_labels = 0.0, 0
    for scores, labels in batches.batches:
        live, wanted = paddle.to_tensor(scores).astype("float64"), paddle.to_tensor(labels)
        if arguments["as_is"]:
            losses = paddle.nn.functional.cross_entropy(live, wanted, reduction="none")
        else:
            own = paddle.take_along_axis(live, wanted.unsqueeze(1), axis=1).squeeze(1)
            losses = paddle.logsumexp(live, axis=1) - own
        total += float(losses.sum())
        n_labels += len(labels)
    return math.exp(total / n_labels)


def _miou(batches: CheckedBatches, _: Arguments) -> float:
    return _averaged(batches, iou, "macro")


def _binary(counter: paddle.metric.Metric, batches: CheckedBatches, arguments: Arguments) -> float:
    for scores, labels in batches.batches:
        said = _chances(scores)[:, 1] if arguments["as_is"] else _predicted(scores)
        counter.update(said.astype(np.float32), labels)
    return float(counter.accumulate())


def _averaged(batches: CheckedBatches, ratio: Ratio, average: str) -> float:
    counts = [
        per_class(_predicted(scores), labels, batches.n_classes)
        for scores, labels in batches.batches
    ]
    hits, said, true = (sum(each) for each in zip(*counts, strict=True))
    return averaged((hits, said, true), ratio, average)


def _predicted(scores: Array) -> Labels:
    classes: Labels = paddle.argmax(paddle.to_tensor(scores), axis=1).numpy()  # first of equals
    return classes


def _chances(scores: Array) -> Array:
    chances: Array = paddle.nn.functional.softmax(paddle.to_tensor(scores)).numpy()
    return chances


_METRICS: Final[Mapping[str, Callable[[CheckedBatches, Arguments], float | Array]]] = {
    "accuracy": _accuracy,
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
    "auc": _auc,
    "confusion_matrix": _confusion_matrix,
    "perplexity": _perplexity,
    "miou": _miou,
}
