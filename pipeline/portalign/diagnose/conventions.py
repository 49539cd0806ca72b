"""The ways in which a metric can be computed otherwise, each as one change that can be tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from portalign.equivalents.counts import Numbers
from portalign.equivalents.scores import Arguments, Batches, Convention, score
from portalign.request import Json

PADDLE_BINS = 4095  # of paddle.metric.Auc, which has one more
_RATIOS = ("precision", "recall", "f1")
_AVERAGES = ("binary", "macro", "micro", "weighted")
_IGNORED = (None, 0, -1, -100, 255)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is done otherwise.

    Attributes:
        claim: what differs, both values, the reference's first.
        remedy: what to change on the candidate.
        framework: what this one thing is in paddle's own call, "" where it is nobody's.
    """

    rule: str
    claim: str
    remedy: str
    name: str
    arguments: Arguments
    how: Convention
    is_complement: bool = False
    framework: str = ""

    def value(self, batches: Batches) -> Numbers:
        """The metric with this change, float64."""
        value = score(self.name, self.arguments, batches, self.how)
        return 1.0 - value if self.is_complement else value


def plain(name: str, arguments: Arguments) -> Change:
    """The metric as portalign computes it."""
    return Change("", "", "", name, arguments, Convention())


def changes(name: str, arguments: Arguments) -> Iterator[Change]:
    """Every single change of a metric that is worth a try."""
    base = plain(name, arguments)
    for make in (_ties, _batches, _labels, _classes, _arguments, _functions, _units):
        yield from make(base)


def _with(base: Change, rule: str, claim: str, remedy: str, **how: Json) -> Change:
    changed = replace(base.how, **how)
    return replace(base, rule=rule, claim=claim, remedy=remedy, how=changed)


def _ties(base: Change) -> Iterator[Change]:
    if base.name in ("perplexity", "auc"):
        return
    remedy = "let the first of equal scores count, as argmax does"
    words = {
        "last": "of equal scores the first class counts against the last",
        "right": "of equal scores the first class counts against any of them, the label's too",
        "wrong": "of equal scores the first class counts against none",
    }
    of_paddle = "paddle.metric rounds the probability of class 1, so that a tie is class 1"
    for ties, claim in words.items():
        is_rounding = ties == "last" and base.arguments.get("average") == "binary"
        yield replace(
            _with(base, "metric-ties", claim, remedy, ties=ties),
            framework=of_paddle if is_rounding else "",
        )


def _batches(base: Change) -> Iterator[Change]:
    remedy = "put all samples together, or weight each batch by its samples"
    told = {
        "means": "the samples of all batches together against the mean of the batches' values",
        "full": "samples are counted against batches times the size of the first (a short last "
        "batch counts as a full one)",
        "cut": "all batches against all but a short last one",
    }
    if base.name == "perplexity":
        told["loss_means"] = "the mean loss of all tokens against the mean of the batches' losses"
    for batches, claim in told.items():
        yield _with(base, "metric-batches", claim, remedy, batches=batches)


def _labels(base: Change) -> Iterator[Change]:
    known = base.arguments["ignore_index"]
    if known is not None:
        yield _with(
            base,
            "metric-ignored-labels",
            f"labels of {known} are left out against counted",
            f"leave labels of {known} out on the candidate",
            is_ignored_counted=True,
        )
    for value in _IGNORED:
        if value != known:
            yield replace(
                base,
                rule="metric-ignored-labels",
                claim=f"ignore_index {_word(known)} against {_word(value)}",
                remedy=f"ignore labels of {_word(known)} on the candidate",
                arguments={**base.arguments, "ignore_index": value},
            )


def _classes(base: Change) -> Iterator[Change]:
    if base.arguments.get("average") == "macro" or base.name == "miou":
        for value in (0.0, 1.0):
            yield _with(
                base,
                "metric-absent-classes",
                f"a class that never occurs is left out of the mean against counted as {value:g}",
                "leave classes out that occur neither in labels nor in predictions",
                absent=value,
            )
    if base.arguments.get("average") == "binary" or base.name == "auc":
        yield _with(
            base,
            "metric-positive-class",
            "it is of class 1 against of class 0",
            "compute it of class 1 on the candidate",
            positive=0,
        )
    for column in (0, 1) if base.name == "auc" else ():
        yield _with(
            base,
            "metric-positive-class",
            f"ordered by how far class 1 is ahead against by the scores of class {column} alone",
            "order by the difference of the scores, or by the probability of class 1",
            column=column,
        )


def _arguments(base: Change) -> Iterator[Change]:
    choices: dict[str, tuple[Json, ...]] = {
        "k": tuple(range(1, 11)),
        "average": _AVERAGES,
        "max_n": tuple(range(1, 7)),
    }
    for key, values in choices.items():
        for value in values if key in base.arguments else ():
            if value != base.arguments[key]:
                yield replace(
                    base,
                    rule="metric-argument",
                    claim=f"{key} {base.arguments[key]} against {value}",
                    remedy=f"give the candidate's metric {key} {base.arguments[key]}",
                    arguments={**base.arguments, key: value},
                )


def _functions(base: Change) -> Iterator[Change]:
    """Another metric, or the same without its last step."""
    for name in _RATIOS if base.name in _RATIOS else ():
        if name != base.name:
            claim = f"it is {base.name} against {name}"
            yield replace(
                base, rule="metric-function", claim=claim, remedy=f"compute {base.name}", name=name
            )
    told = {
        "perplexity": "e to the mean loss against the mean loss itself",
        "confusion_matrix": "rows are labels against predictions",
        "bleu": "n-grams counted over all sentences against the mean of the sentences' values",
    }
    if base.name in told:
        remedy = f"compute it as {told[base.name].split(' against ')[0]}"
        yield _with(base, "metric-function", told[base.name], remedy, is_plain=True)
    if base.name == "perplexity":
        yield replace(
            _with(
                base,
                "metric-cut-off",
                "losses are exact against cut off at 64",
                "use log_softmax of scores moved below 64, or logsumexp",
                is_cut_off=True,
            ),
            framework="paddle's cross entropy on a CPU doesn't look farther than 64 below the "
            "greatest score",
        )
    if base.name == "auc":
        yield replace(
            _with(
                base,
                "metric-bins",
                f"every score by itself against {PADDLE_BINS + 1} bins of probability",
                "feed paddle.metric.Auc ranks, or use scikit-learn's roc_auc_score",
                bins=PADDLE_BINS,
            ),
            framework=f"paddle.metric.Auc counts in {PADDLE_BINS + 1} bins of probability",
        )


def _units(base: Change) -> Iterator[Change]:
    for factor, claim in ((100.0, "a share against per cent"), (0.01, "per cent against a share")):
        yield _with(base, "metric-unit", claim, "give both in one unit", scale=factor)
    if base.name not in ("perplexity", "confusion_matrix"):
        claim, remedy = "the share of hits against the share of misses", "give both of hits"
        yield replace(base, rule="metric-unit", claim=claim, remedy=remedy, is_complement=True)


def _word(value: Json) -> str:
    return "none" if value is None else str(value)
