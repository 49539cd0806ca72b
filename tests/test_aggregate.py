"""All steps in one verdict: failed, blocked, missing, broken and stale steps each show."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from portalign.errors import ReportError
from portalign.records import Step
from portalign.report.aggregate import FAILED_SUFFIX, StepState, gather, write_summary
from portalign.report.data import write_step_report
from portalign.results import Outcome
from sample_reports import failing_report, step_report

F, M, L, B = Step.FORWARD, Step.METRIC, Step.LR_SCHEDULER, Step.BACKWARD


def _write(folder: Path, outcomes: dict[Step, Outcome], **changes: Any) -> Path:
    for step, outcome in outcomes.items():
        report = failing_report(step) if outcome is Outcome.FAIL else step_report(step)
        write_step_report(_with(report, outcome=outcome, **changes), folder / step.value)
    return folder


def _with(report: Any, **changes: Any) -> Any:
    return dataclasses.replace(report, **changes)


PASS, FAIL, OPEN, ERROR = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR
RUNS = {
    "all pass": ({F: PASS, M: PASS, L: PASS, B: PASS}, PASS, {}),
    "none ran": (
        {},
        OPEN,
        dict.fromkeys((F, M, L, B), StepState.MISSING),
    ),
    "one missing": ({F: PASS, M: PASS, L: PASS}, OPEN, {B: StepState.MISSING}),
    "one open": ({F: PASS, M: OPEN, L: PASS, B: PASS}, OPEN, {M: StepState.INCONCLUSIVE}),
    "one in error": ({F: PASS, M: PASS, L: ERROR, B: PASS}, OPEN, {L: StepState.ERROR}),
    "last fails": ({F: PASS, M: PASS, L: PASS, B: FAIL}, FAIL, {B: StepState.FAILED}),
    "forward fails": (
        {F: FAIL, M: PASS, L: PASS, B: FAIL},
        FAIL,
        {F: StepState.FAILED, M: StepState.BLOCKED, B: StepState.BLOCKED},
    ),
    "scheduler fails and backward didn't run": (
        {F: PASS, M: PASS, L: FAIL},
        FAIL,
        {L: StepState.FAILED, B: StepState.BLOCKED},
    ),
    "fail beats error": (
        {F: PASS, M: FAIL, L: ERROR},
        FAIL,
        {M: StepState.FAILED, L: StepState.ERROR, B: StepState.MISSING},
    ),
}


@pytest.mark.parametrize(("ran", "outcome", "states"), RUNS.values(), ids=RUNS)
def test_the_verdict_follows_from_the_steps(
    ran: dict[Step, Outcome], outcome: Outcome, states: dict[Step, StepState], tmp_path: Path
) -> None:
    run = gather(_write(tmp_path, ran))

    assert run.outcome is outcome
    assert {step.step: step.state for step in run.steps} == {
        step: states.get(step, StepState.PASSED) for step in Step
    }


def test_a_blocked_step_says_what_failed_and_what_it_found_itself(tmp_path: Path) -> None:
    run = gather(_write(tmp_path, {F: FAIL, M: PASS, L: PASS, B: FAIL}))

    backward = run.steps[3]
    assert backward.reason == "forward failed first (its own outcome was fail)"
    assert (backward.outcome, backward.own_outcome) == (Outcome.INCONCLUSIVE, Outcome.FAIL)
    assert run.headline == "1 of 4 steps pass; fail: forward; blocked: metric, backward"


def test_a_missing_step_is_named_with_the_command_that_runs_it(tmp_path: Path) -> None:
    run = gather(_write(tmp_path, {F: PASS, M: PASS, B: PASS}))

    assert run.steps[2].reason == "didn't run; python steps/step3_lr_scheduler.py"
    assert run.next_command == "python steps/step3_lr_scheduler.py --port bert"


def test_a_broken_report_is_an_error_and_the_other_steps_still_show(tmp_path: Path) -> None:
    _write(tmp_path, {F: PASS, M: PASS, L: PASS, B: PASS})
    (tmp_path / "metric" / "report.json").write_text('{"schema": 1, "po', encoding="utf-8")

    run = gather(tmp_path)

    assert run.outcome is Outcome.INCONCLUSIVE
    assert run.steps[1].state is StepState.ERROR
    assert "report.json is broken" in run.steps[1].reason
    assert [step.state for step in run.steps].count(StepState.PASSED) == 3


def test_a_report_copied_into_another_steps_folder_proves_nothing(tmp_path: Path) -> None:
    _write(tmp_path, {F: PASS, M: PASS, L: PASS})
    (tmp_path / "backward").mkdir()
    text = (tmp_path / "forward" / "report.json").read_text(encoding="utf-8")
    (tmp_path / "backward" / "report.json").write_text(text, encoding="utf-8")

    run = gather(tmp_path)

    assert run.outcome is Outcome.INCONCLUSIVE
    assert "is the report of step forward" in run.steps[3].reason


def test_a_step_that_crashed_last_time_does_not_pass_on_its_earlier_report(tmp_path: Path) -> None:
    _write(tmp_path, {F: PASS, M: PASS, L: PASS, B: PASS})
    (tmp_path / f"backward{FAILED_SUFFIX}").mkdir()

    run = gather(tmp_path)

    assert (run.outcome, run.steps[3].state) == (Outcome.INCONCLUSIVE, StepState.ERROR)
    assert run.steps[3].reason == "its last run crashed and left backward.failed"


STALE = {
    "nothing": ({F: PASS, M: PASS, L: PASS, B: PASS}, "", PASS, {}),
    "a step that passed": (
        {F: PASS, M: PASS, L: PASS, B: PASS},
        "metric",
        OPEN,
        {M: StepState.STALE},
    ),
    "a step that failed blocks nothing": (
        {F: FAIL, M: PASS, L: PASS, B: PASS},
        "forward",
        OPEN,
        {F: StepState.STALE},
    ),
    "beside a step that failed": (
        {F: PASS, M: PASS, L: PASS, B: FAIL},
        "metric",
        FAIL,
        {M: StepState.STALE, B: StepState.FAILED},
    ),
}


@pytest.mark.parametrize(("ran", "stale", "outcome", "states"), STALE.values(), ids=STALE)
def test_a_stale_step_proves_nothing(
    ran: dict[Step, Outcome],
    stale: str,
    outcome: Outcome,
    states: dict[Step, StepState],
    tmp_path: Path,
) -> None:
    run = gather(
        _write(tmp_path, ran),
        staleness=lambda report: "it is old" if report.step.value == stale else "",
    )

    assert run.outcome is outcome
    assert {step.step: step.state for step in run.steps} == {
        step: states.get(step, StepState.PASSED) for step in Step
    }
    reasons = [step.reason for step in run.steps if step.state is StepState.STALE]
    assert all(reason.startswith("it is old; run python steps/step") for reason in reasons)


def test_reports_of_different_ports_are_noted(tmp_path: Path) -> None:
    _write(tmp_path, {F: PASS, M: PASS, L: PASS})
    _write(tmp_path, {B: PASS}, port="resnet")

    assert gather(tmp_path).notes == ("the reports are of different ports: bert, resnet",)


def test_the_summary_on_disk_says_what_the_run_report_says(tmp_path: Path) -> None:
    run = gather(_write(tmp_path, {F: FAIL, M: PASS}))

    data = json.loads(write_summary(run, tmp_path).read_text(encoding="utf-8"))

    assert data["outcome"] == "fail"
    assert [step["state"] for step in data["steps"]] == ["fail", "blocked", "missing", "blocked"]
    assert data["steps"][0]["verdicts"] == {"divergent": 1, "rounding": 1, "undecided": 1}


def test_a_summary_that_cannot_be_written_is_a_report_error(tmp_path: Path) -> None:
    run = gather(tmp_path)
    (tmp_path / "file").write_text("in the way", encoding="utf-8")

    with pytest.raises(ReportError, match="can't be written"):
        write_summary(run, tmp_path / "file")
