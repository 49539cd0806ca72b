"""Wrong data and wrong metrics: the metric step fails and names the batch or the metric."""

from __future__ import annotations

import pytest

from batch import Case, Result, run_all
from portalign.records import Step
from portalign.results import Outcome

pytestmark = [pytest.mark.end_to_end, pytest.mark.faults]


def _metric(name: str, function: str) -> Case:
    text = f"metrics=[{{name: {name}, candidate: 'data.py:{function}'}}]"
    return Case(Step.METRIC, (text,))


def _batches(function: str) -> Case:
    return Case(Step.METRIC, (f"candidate.batches=data.py:{function}",))


RIGHT = {
    "named metrics": Case(Step.METRIC),
    "batches of its own": _batches("batches"),
    "accuracy, f1 and auc": Case(Step.METRIC, ("metrics=[accuracy, f1, auc]",)),
    "without twins": Case(Step.METRIC, ("twin=off",)),
    "a metric of its own": _metric("accuracy", "first_of_ties"),
}
# name: what is run, the first pair that differs, what else is an origin
WRONG: dict[str, tuple[Case, str, tuple[str, ...]]] = {
    "ties broken otherwise": (_metric("accuracy", "last_of_ties"), "metric accuracy.ties", ()),
    "mean of batch means": (
        _metric("accuracy", "mean_of_means"),
        "metric accuracy.own",
        ("metric accuracy.shared", "metric accuracy.short_last_batch"),
    ),
    "f1 of the other class": (
        _metric("f1", "f1_of_class_zero"),
        "metric f1.own",
        ("metric f1.shared", "metric f1.ties"),
    ),
    "auc of the other class": (
        _metric("auc", "auc_of_class_zero"),
        "metric auc.own",
        ("metric auc.shared", "metric auc.ties"),
    ),
    "a wrong model": (
        Case(Step.METRIC, ("settings.mistake=norm_epsilon",)),
        "prediction logits",
        (),
    ),
    "last batch dropped": (_batches("without_the_last"), "input length", ()),
    "labels shifted": (_batches("shifted_labels"), "input labels iteration 2", ()),
    "ids in another dtype": (
        _batches("narrow_ids"),
        "input input_ids",
        ("input labels", "input labels iteration 5"),
    ),
    "batches in another order": (
        _batches("shuffled"),
        "input input_ids",
        ("input labels", "input input_ids iteration 1"),
    ),
}
# what must be said of each
CLAIMS = {
    "ties broken otherwise": "of equal scores the first class counts against the last",
    "mean of batch means": "against the mean of the batches' values",
    "f1 of the other class": "it is of class 1 against of class 0",
    "auc of the other class": "by the scores of class 0 alone",
}
CLASSES = {
    "binary metrics of ten classes": Case(Step.METRIC, ("metrics=[accuracy, f1, auc]",), "resnet"),
    "averaged metrics of ten classes": Case(
        Step.METRIC, ("metrics=[accuracy, {name: f1, average: macro}]",), "resnet"
    ),
}
UNTOUCHED_METRICS = ("last batch dropped", "labels shifted", "batches in another order")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    cases = {**RIGHT, **CLASSES, **{name: case for name, (case, _, _) in WRONG.items()}}
    return run_all(cases, tmp_path_factory.mktemp("metric"))


@pytest.mark.parametrize("name", RIGHT)
def test_right_data_and_metrics_pass(results: dict[str, Result], name: str) -> None:
    result = results[name]

    assert result.report.outcome is Outcome.PASS, result.text
    assert result.exit_code == 0
    assert result.begins_at == ()


@pytest.mark.parametrize("name", WRONG)
def test_wrong_data_or_a_wrong_metric_fails_and_the_first_place_is_named(
    results: dict[str, Result], name: str
) -> None:
    result, (_, first, more) = results[name], WRONG[name]

    assert result.report.outcome is Outcome.FAIL, result.text
    assert result.exit_code == 1
    assert result.report.divergence.first == result.begins_at[0] == first
    assert {*more} <= {*result.begins_at}
    assert "diverged" in result.text
    assert f"{first}: " in result.text


@pytest.mark.parametrize("name", CLAIMS)
def test_the_report_says_why_a_metric_differs(results: dict[str, Result], name: str) -> None:
    (finding,) = results[name].report.findings

    assert finding.is_confirmed
    assert CLAIMS[name] in finding.claim
    assert f"cause ({finding.rule}): {finding.claim}" in results[name].text


@pytest.mark.parametrize("name", RIGHT)
def test_right_metrics_have_no_findings(results: dict[str, Result], name: str) -> None:
    assert results[name].report.findings == ()


@pytest.mark.parametrize("name", UNTOUCHED_METRICS)
def test_a_metric_of_wrong_data_is_not_blamed(results: dict[str, Result], name: str) -> None:
    assert not [place for place in results[name].begins_at if place.startswith("metric")]


def test_ties_are_the_only_thing_that_tells_two_accuracies_apart(
    results: dict[str, Result],
) -> None:
    failed = [
        c.label
        for c in results["ties broken otherwise"].report.comparisons
        if c.outcome is Outcome.FAIL
    ]

    assert failed == ["metric accuracy.ties"]


def test_a_dropped_batch_is_told_in_numbers(results: dict[str, Result]) -> None:
    assert "6 against 5" in results["last batch dropped"].text


def test_another_dtype_of_equal_numbers_is_told(results: dict[str, Result]) -> None:
    assert "the dtypes are int64 against int32" in results["ids in another dtype"].text


def test_metrics_that_both_sides_refuse_are_inconclusive_and_say_what_to_do(
    results: dict[str, Result],
) -> None:
    result = results["binary metrics of ten classes"]

    assert result.report.outcome is Outcome.INCONCLUSIVE, result.text
    missing = {(u.role, str(u.key)) for u in result.report.unpaired if u.is_promised}
    names = [f"metric {name}.{case}" for name in ("f1", "auc") for case in ("own", "shared")]
    assert missing == {(role, name) for role in ("reference", "candidate") for name in names}
    assert "reference metric f1.own" in result.report.headline
    assert "10 classes, this metric needs 2; set `average: macro`" in result.report.headline
    notes = [note for note in result.report.notes if "metric f1.ties is not compared" in note]
    assert [note.split(": ")[0] for note in notes] == [
        f"metric f1.ties is not compared, the {role} refused it"
        for role in ("reference", "candidate")
    ]


def test_metrics_averaged_over_the_classes_are_not_refused(results: dict[str, Result]) -> None:
    report = results["averaged metrics of ten classes"].report

    assert not [record for record in report.unpaired if record.is_promised]
    assert all(c.outcome is Outcome.PASS for c in report.comparisons)
    assert not [note for note in report.notes if "not compared" in note]


def test_a_case_that_means_nothing_to_a_metric_is_left_out_and_told(
    results: dict[str, Result],
) -> None:
    report = results["accuracy, f1 and auc"].report
    labels = [c.label for c in report.comparisons]

    assert "metric auc.absent_class" not in labels
    assert {"metric auc.own", "metric auc.ties", "metric f1.absent_class"} <= {*labels}
    assert [note for note in report.notes if "not compared" in note] == [
        "metric auc.absent_class is not compared: it is NaN on both sides, undefined for this case"
    ]


@pytest.mark.parametrize(("name", "n_twins"), [("named metrics", 2), ("without twins", 0)])
def test_the_first_two_predictions_have_twins(
    results: dict[str, Result], name: str, n_twins: int
) -> None:
    found = [c for c in results[name].report.comparisons if c.label.startswith("prediction")]

    assert [c.twin is not None for c in found] == [i < n_twins for i in range(6)]
