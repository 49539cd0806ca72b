"""Train mode: both sides drop the same elements, and a port that drops otherwise is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch import Case, Result, run_all
from portalign.records import Kind, Precision, Step
from portalign.results import Outcome, Verdict
from portalign.store import read_trace
from portalign.store.layout import DRAWS

pytestmark = [pytest.mark.end_to_end, pytest.mark.faults]

REVERSED = (
    "reference={framework: paddle, build: paddle_side.py:build}",
    "candidate={framework: torch, build: torch_side.py:build}",
)


def _case(mistake: str, *more: str, step: Step = Step.FORWARD) -> Case:
    return Case(step, (f"settings.mistake={mistake}", *more), port="../dropped")


CASES = {
    "right": _case("none", step=Step.BACKWARD),
    "reversed": _case("none", *REVERSED, step=Step.BACKWARD),
    "by function": _case("by_function"),
    "without twin": _case("none", "twin=off", step=Step.BACKWARD),
    "rate": _case("rate"),
    "not scaled": _case("not_scaled"),
    "undropped": _case("undropped"),
    "attention undropped": _case("attention_undropped"),
    "noise": _case("noise"),
    "eval": _case("rate", "mode=eval"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dropout")


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, Result]:
    return run_all(CASES, folder)


@pytest.mark.parametrize("name", ["right", "reversed", "by function", "without twin"])
def test_a_right_port_drops_what_the_reference_drops(results: dict[str, Result], name: str) -> None:
    report = results[name].report
    draws = [one for one in report.comparisons if one.key.kind is Kind.DRAW]

    assert report.outcome is Outcome.PASS, results[name].text
    assert {one.key.slot for one in draws} == (
        {"keep", "uniform"} if name == "reversed" else {"keep"}
    )
    # attention, layer and branch of both branches, the channels, the input of the head
    assert len(draws) == 8


def test_masks_differ_between_iterations_and_hold_for_native_run_and_twin(
    results: dict[str, Result], folder: Path
) -> None:
    assert results["right"].report.outcome is Outcome.PASS
    masks = [
        read_trace(folder / "right" / DRAWS / f"{iteration:05d}").records for iteration in range(3)
    ]
    first, second = (
        next(r.array for r in records if r.key.path == "branches.0.drop") for records in masks[:2]
    )
    twins = [c.twin for c in results["right"].report.comparisons if c.twin is not None]

    assert first.dtype == bool
    assert 0.6 < first.mean() < 0.9  # 0.75 of 576 elements
    assert (first != second).any()
    # 1.2e-13 at most was seen over three Adam iterations
    assert max(t.rel_frobenius for t in twins if t.norm_reference > 1e-3) < 1e-9


@pytest.mark.parametrize(
    ("name", "place", "words"),
    [
        ("rate", "branches.0.drop out.0", "keeps an element with probability 0.75"),
        ("not scaled", "branches.0.drop out.0", "not the same mathematics"),
        ("undropped", "glue", "random draw branches.0.drop.keep stands only on the reference"),
        (
            "attention undropped",
            "glue before branches.0.fc in.0",
            "random draw branches.0.keep stands only on the reference",
        ),
    ],
)
def test_a_port_that_drops_otherwise_is_found_where_it_does(
    results: dict[str, Result], name: str, place: str, words: str
) -> None:
    result = results[name]

    assert result.report.outcome is Outcome.FAIL
    assert any(place in each for each in result.begins_at), result.begins_at
    assert words in " ".join(result.text.split())
    assert not any("branches.1" in each for each in result.begins_at)


def test_random_draws_that_can_not_be_replayed_are_named(results: dict[str, Result]) -> None:
    notes = results["noise"].report.notes

    assert results["noise"].report.outcome is Outcome.FAIL
    for role in ("reference", "candidate"):
        told = f"random draws that are not replayed: the {role} draws by randint in branches.0"
        assert told in notes
    assert not any("not replayed" in note for note in results["right"].report.notes)


def test_in_eval_mode_nothing_is_dropped_or_recorded(
    results: dict[str, Result], folder: Path
) -> None:
    assert results["eval"].report.outcome is Outcome.PASS
    assert not (folder / "eval" / DRAWS).exists()


def test_draws_are_described_natively_and_once(results: dict[str, Result]) -> None:
    draws = [c for c in results["right"].report.comparisons if c.key.kind is Kind.DRAW]

    assert {c.key.iteration for c in draws} == {0}
    assert {c.key.precision for c in draws} == {Precision.NATIVE}
    assert {c.verdict for c in draws} == {Verdict.IDENTICAL}
