"""Why metrics differ: a fault is named by what gives the candidate's values, or unexplained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from portalign.diagnose.scores import Case, explain
from portalign.equivalents.arguments import resolve
from portalign.equivalents.crafted import Scored, crafted_cases
from portalign.equivalents.rows import Area
from portalign.equivalents.scores import Convention, score
from portalign.findings import Finding, FindingKind
from portalign.request import Spec

Metric = Callable[[Scored], Any]


@dataclass(frozen=True)
class Fault:
    """A metric, what the candidate computes instead, and what must be said of it."""

    spec: Spec
    candidate: Metric
    rule: str
    says: str
    shape: tuple[int, ...] = (16, 5)
    can_be_own: bool = False  # found as well when the metric is only known by its values


def predictions(spec: Spec, shape: tuple[int, ...], seed: int) -> Scored:
    """Six batches, the last one short, most of them right; a quarter of the labels ignored."""
    arguments = resolve(Area.METRIC, spec)
    axis, ignored = arguments["axis"], arguments["ignore_index"]
    random, noise = np.random.default_rng(7), np.random.default_rng(seed)
    found = []
    for size in (shape[0],) * 5 + (shape[0] // 3,):
        inner = [n for at, n in enumerate(shape) if at and at != axis % len(shape)]
        labels = random.integers(0, shape[axis], (size, *inner))
        scores = random.normal(size=(*labels.shape, shape[axis]))
        scores += 2.0 * (np.arange(shape[axis]) == labels[..., None])
        scores += 1e-3 * noise.normal(size=scores.shape)
        if ignored is not None:
            labels = np.where(random.random(labels.shape) < 0.25, ignored, labels)
        found.append((np.moveaxis(scores, -1, axis), labels))
    return found


def cases(spec: Spec, candidate: Metric, shape: tuple[int, ...] = (16, 5)) -> list[Case]:
    arguments = resolve(Area.METRIC, spec)
    ours, theirs = predictions(spec, shape, 0), predictions(spec, shape, 1)
    scored = {"own": (ours, theirs), "shared": (ours, ours)}
    made = crafted_cases(shape, axis=arguments["axis"], ignore_index=arguments["ignore_index"])
    scored |= {name: (case, case) for name, case in made.items()}
    return [
        Case(
            name,
            left,
            right,
            score(spec.name, arguments, left),
            np.asarray(candidate(right), np.float64),
        )
        for name, (left, right) in scored.items()
    ]


def found(fault: Fault, *, own: bool = False) -> Finding:
    spec = Spec(function="a.py:fn") if own else fault.spec
    return explain(spec, cases(fault.spec, fault.candidate, fault.shape), where=("metric x.own",))


def otherwise(spec: Spec, how: Convention | None = None, **arguments: Any) -> Metric:
    known = resolve(Area.METRIC, Spec(spec.name, args={**spec.args, **arguments}))
    return lambda batches: score(spec.name, known, batches, how)


def last_of_ties(batches: Scored) -> float:
    hits = [scores.shape[1] - 1 - scores[:, ::-1].argmax(axis=1) == y for scores, y in batches]
    return float(np.concatenate(hits).mean())


def mean_of_means(batches: Scored) -> float:
    return float(np.mean([(scores.argmax(axis=1) == y).mean() for scores, y in batches]))


def padded(batches: Scored) -> float:
    hits = sum(int((scores.argmax(axis=1) == y).sum()) for scores, y in batches)
    return hits / (len(batches) * len(batches[0][1]))


def without_short(batches: Scored) -> float:
    full = [each for each in batches if len(each[1]) == len(batches[0][1])]
    return float(np.concatenate([scores.argmax(axis=1) == y for scores, y in full]).mean())


def losses(scores: npt.NDArray[Any], labels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    kept, scores = labels != -100, scores.astype(np.float64)
    shifted = scores - scores.max(axis=-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    own = np.take_along_axis(logs, np.where(kept, labels, 0)[..., None], axis=-1)[..., 0]
    return np.where(kept, -own, 0.0)


def exp_of_mean_of_means(batches: Scored) -> float:
    means = [losses(s, y).sum() / (y != -100).sum() for s, y in batches]
    return float(np.exp(np.mean(means)))


def over_all_tokens(batches: Scored) -> float:
    total = sum(losses(s, y).sum() for s, y in batches)
    return float(np.exp(total / sum(y.size for _, y in batches)))


def iou_with_zeros(batches: Scored) -> float:
    said = np.concatenate([scores.argmax(axis=1).ravel() for scores, _ in batches])
    true = np.concatenate([labels.ravel() for _, labels in batches])
    kept = true != 255
    values = []
    for label in range(batches[0][0].shape[1]):
        left, right = (said == label) & kept, true == label
        union = (left | right).sum()
        values.append((left & right).sum() / union if union else 0.0)
    return float(np.mean(values))


ACCURACY, TOP = Spec("accuracy"), Spec("accuracy", args={"k": 3})
BINARY = Spec("f1")
MACRO = Spec("f1", args={"average": "macro"})
KEPT = Spec("f1", args={"average": "macro", "ignore_index": -100})
RECALL = Spec("recall", args={"average": "macro"})
AUC, MATRIX, PERPLEXITY = Spec("auc"), Spec("confusion_matrix"), Spec("perplexity")
BLEU, MATCH = Spec("bleu"), Spec("exact_match")
MIOU = Spec("miou", args={"ignore_index": 255})
TOKENS, PIXELS = (9, 6, 5), (6, 5, 4, 4)

FAULTS = {
    "last of ties": Fault(
        ACCURACY,
        last_of_ties,
        "metric-ties",
        "the first class counts against the last",
        (16, 5),
        True,
    ),
    "ties that always hit": Fault(
        ACCURACY,
        otherwise(ACCURACY, Convention(ties="right")),
        "metric-ties",
        "against any of them",
    ),
    "mean of batch means": Fault(
        ACCURACY,
        mean_of_means,
        "metric-batches",
        "against the mean of the batches' values",
        (16, 5),
        True,
    ),
    "short batch as a full one": Fault(
        ACCURACY,
        padded,
        "metric-batches",
        "a short last batch counts as a full one",
        can_be_own=True,
    ),
    "short batch dropped": Fault(
        ACCURACY,
        without_short,
        "metric-batches",
        "against all but a short last one",
        can_be_own=True,
    ),
    "top 1 for top 3": Fault(TOP, otherwise(TOP, k=1), "metric-argument", "k 3 against 1"),
    "per cent": Fault(
        ACCURACY, otherwise(ACCURACY, Convention(scale=100.0)), "metric-unit", "against per cent"
    ),
    "error rate": Fault(
        ACCURACY, lambda batches: 1 - otherwise(ACCURACY)(batches), "metric-unit", "share of misses"
    ),
    "micro for macro": Fault(
        MACRO,
        otherwise(MACRO, average="micro"),
        "metric-argument",
        "average macro against micro",
        (16, 5),
        True,
    ),
    "weighted for macro": Fault(
        MACRO, otherwise(MACRO, average="weighted"), "metric-argument", "macro against weighted"
    ),
    "absent classes as zero": Fault(
        MACRO,
        otherwise(MACRO, Convention(absent=0.0)),
        "metric-absent-classes",
        "left out of the mean against counted as 0",
    ),
    "ignored labels counted": Fault(
        KEPT,
        otherwise(KEPT, Convention(is_ignored_counted=True)),
        "metric-ignored-labels",
        "labels of -100 are left out against counted",
    ),
    "padding ignored": Fault(
        RECALL,
        otherwise(RECALL, ignore_index=0),
        "metric-ignored-labels",
        "ignore_index none against 0",
    ),
    "precision for recall": Fault(
        RECALL,
        lambda b: score("precision", resolve(Area.METRIC, RECALL), b),
        "metric-function",
        "recall against precision",
    ),
    "the other class": Fault(
        BINARY,
        otherwise(BINARY, Convention(positive=0)),
        "metric-positive-class",
        "of class 1 against of class 0",
        (16, 2),
        True,
    ),
    "AUC of the other class": Fault(
        AUC, lambda b: 1 - otherwise(AUC)(b), "metric-positive-class", "of class 1", (16, 2)
    ),
    "AUC by one logit": Fault(
        AUC,
        otherwise(AUC, Convention(column=1)),
        "metric-positive-class",
        "by the scores of class 1 alone",
        (16, 2),
    ),
    "AUC in bins": Fault(
        AUC,
        otherwise(AUC, Convention(bins=4095)),
        "metric-bins",
        "against 4096 bins of probability",
        (600, 2),
    ),
    "transposed matrix": Fault(
        MATRIX,
        lambda b: otherwise(MATRIX)(b).T,
        "metric-function",
        "rows are labels against predictions",
    ),
    "loss for perplexity": Fault(
        PERPLEXITY,
        lambda b: np.log(otherwise(PERPLEXITY)(b)),
        "metric-function",
        "against the mean loss itself",
        TOKENS,
    ),
    "mean of batch losses": Fault(
        PERPLEXITY,
        exp_of_mean_of_means,
        "metric-batches",
        "the mean of the batches' losses",
        TOKENS,
    ),
    "tokens without loss counted": Fault(
        PERPLEXITY,
        over_all_tokens,
        "metric-ignored-labels",
        "-100 are left out against counted",
        TOKENS,
    ),
    "two-grams": Fault(
        BLEU, otherwise(BLEU, max_n=2), "metric-argument", "max_n 4 against 2", TOKENS
    ),
    "mean of sentences": Fault(
        BLEU,
        otherwise(BLEU, Convention(is_plain=True)),
        "metric-function",
        "against the mean of the sentences' values",
        TOKENS,
    ),
    "ignored tokens must match": Fault(
        MATCH,
        otherwise(MATCH, Convention(is_ignored_counted=True)),
        "metric-ignored-labels",
        "-100 are left out against counted",
        TOKENS,
    ),
    "mIoU with absent classes": Fault(
        MIOU, iou_with_zeros, "metric-absent-classes", "against counted as 0", PIXELS
    ),
}
ONCE_MORE = {name: fault for name, fault in FAULTS.items() if fault.can_be_own}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_and_gives_the_candidates_values(fault: Fault) -> None:
    finding = found(fault)

    assert (finding.kind, finding.is_confirmed) == (FindingKind.CAUSE, True), finding
    assert finding.rule == fault.rule, finding
    assert fault.says in finding.claim
    assert finding.remedy
    assert finding.after <= 1e-9 < finding.before


@pytest.mark.parametrize("fault", ONCE_MORE.values(), ids=ONCE_MORE)
def test_a_reference_that_is_a_function_is_recognised_by_its_values(fault: Fault) -> None:
    finding = found(fault, own=True)

    assert finding.rule == fault.rule, finding
    assert fault.says in finding.claim


def test_explanations_that_give_the_same_values_are_both_told() -> None:
    one = [(np.eye(5)[:4], np.array([0, 1, 2, 0]))]  # no ties, no short batch: much is the same
    arguments = resolve(Area.METRIC, MACRO)
    right, wrong = (score("f1", {**arguments, "average": a}, one) for a in ("macro", "micro"))

    claim = explain(MACRO, [Case("own", one, one, right, wrong)], where=("x",)).claim

    assert "average macro against micro" in claim
    assert "these scores can't tell it from average macro against" not in claim


def test_paddles_own_bins_are_a_known_difference_where_the_port_asks_for_them() -> None:
    as_is = Spec("auc", args={"as_is": True})
    fault = Fault(as_is, otherwise(as_is, Convention(bins=4095)), "", "", (600, 2))

    finding = found(fault)

    assert finding.kind is FindingKind.KNOWN_DIFFERENCE
    assert "paddle.metric.Auc counts in 4096 bins" in finding.claim
    assert 0 < finding.before < 0.01
    assert finding.remedy == ""


UNEXPLAINED: dict[str, Metric] = {
    "seeded noise": lambda b: otherwise(ACCURACY)(b) * (1 + 1e-3 * len(b)),
    "rounded": lambda b: np.round(otherwise(ACCURACY)(b), 2),
    "constant": lambda b: 0.5,
    "NaN": lambda b: np.nan,
    "another shape": lambda b: np.zeros(3),
}


@pytest.mark.parametrize("candidate", UNEXPLAINED.values(), ids=UNEXPLAINED)
def test_a_fault_of_another_kind_is_unexplained(candidate: Metric) -> None:
    finding = found(Fault(ACCURACY, candidate, "", ""))

    assert finding.kind is FindingKind.UNEXPLAINED
    assert not finding.is_confirmed
    assert "metric-ties" in finding.ruled_out


def test_a_metric_of_the_porter_that_is_none_of_ours_is_unexplained() -> None:
    odd = [
        Case(case.name, case.scored, case.theirs, case.reference * 0.123, case.candidate)
        for case in cases(ACCURACY, last_of_ties)
    ]

    finding = explain(Spec(function="a.py:fn"), odd, where=("x",))

    assert finding.kind is FindingKind.UNEXPLAINED
    assert finding.ruled_out == ("the reference's own metric isn't known",)
