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
UNTOUCHED_METRICS = ("last batch dropped", "labels shifted", "batches in another order")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    cases = {**RIGHT, **{name: case for name, (case, _, _) in WRONG.items()}}
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
