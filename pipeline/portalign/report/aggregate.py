"""All steps of a port as one verdict, from the ``report.json`` files alone.

A step proves something only on top of what it builds on: one whose prerequisite failed is
blocked, one that didn't run is named, and one that was captured with another port is stale.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path

from portalign.errors import ReportError
from portalign.records import Step
from portalign.report.codec import Json, schema
from portalign.report.data import FILE_NAME, SCHEMA, read_step_report, write_json
from portalign.results import Outcome, StepReport

PREREQUISITES: dict[Step, tuple[Step, ...]] = {
    Step.FORWARD: (),
    Step.METRIC: (Step.FORWARD,),
    Step.LR_SCHEDULER: (),
    Step.BACKWARD: (Step.FORWARD, Step.LR_SCHEDULER),
}
SUMMARY_NAME = "summary.json"
FAILED_SUFFIX = ".failed"  # of the folder a run that crashed leaves beside the earlier complete one
COMMANDS = {
    step: f"python steps/step{number}_{step.value}.py" for number, step in enumerate(Step, start=1)
}


class StepState(str, Enum):
    """What a step says about itself within a run."""

    PASSED = "pass"
    FAILED = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"
    BLOCKED = "blocked"
    MISSING = "missing"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class StepSummary:
    """One step within a run.

    Attributes:
        state: as `outcome`, or blocked, missing or stale.
        outcome: what it counts as; blocked, missing and stale count as INCONCLUSIVE.
        own_outcome: what its own report says; None if there is none that can be read.
        reason: its headline, or why it is blocked, missing, stale or in error.
        verdicts: number of compared pairs by verdict.
        created: when it ran, as the report has it; "" if unknown.
        fingerprint: of the port it was captured with; "" if unknown.
    """

    step: Step
    state: StepState
    outcome: Outcome
    own_outcome: Outcome | None
    reason: str
    verdicts: dict[str, int]
    created: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class RunReport:
    """All steps of a port, concluded.

    Attributes:
        outcome: FAIL if a step failed, PASS if all passed, INCONCLUSIVE otherwise.
        steps: one entry for every step there is, in their order.
        notes: what makes the whole less than its parts: reports of several ports.
    """

    schema: int
    port: str
    outcome: Outcome
    headline: str
    steps: tuple[StepSummary, ...]
    notes: tuple[str, ...]
    created: str
    next_command: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the steps of a port left on disk.

    Attributes:
        folder: name of the port's logs folder.
        reports: every report that can be read.
        broken: why a step's report can't, or how its last run ended.
    """

    folder: str
    reports: dict[Step, StepReport]
    broken: dict[Step, str]


def _always_fresh(_report: StepReport) -> str:
    return ""


def gather(
    port_folder: Path,
    *,
    port_option: str = "",
    staleness: Callable[[StepReport], str] = _always_fresh,
) -> RunReport:
    """Read every step's report under ``logs/<port>/`` and conclude.

    Args:
        port_folder: ``logs/<port>/``.
        port_option: what the user gave to ``--port``, and to ``--set`` after it, for the next
            command; the port's name if "".
        staleness: says why a report no longer speaks for the port as it stands, "" if it does. Such
            a step proves nothing, whatever its outcome was.

    A report that can't be read, or whose step crashed when it was run last, makes its step an ERROR
    and leaves the others as they are; a folder without any report is INCONCLUSIVE.
    """
    return summarise(read_recorded(port_folder), port_option=port_option, staleness=staleness)


def read_recorded(port_folder: Path) -> Recorded:
    """Read what every step left under ``logs/<port>/``."""
    reports: dict[Step, StepReport] = {}
    broken: dict[Step, str] = {}
    for step in Step:
        try:
            if (port_folder / step.value / FILE_NAME).exists():
                reports[step] = _read(port_folder, step)
        except ReportError as err:
            broken[step] = err.found
        if (port_folder / f"{step.value}{FAILED_SUFFIX}").is_dir():
            broken[step] = f"its last run crashed and left {step.value}{FAILED_SUFFIX}"
    return Recorded(port_folder.name, reports, broken)


def summarise(
    recorded: Recorded,
    *,
    port_option: str = "",
    staleness: Callable[[StepReport], str] = _always_fresh,
) -> RunReport:
    """Conclude from what was read; arguments as in `gather`."""
    reports = recorded.reports
    found = {step: staleness(report) for step, report in reports.items()}
    stale = {step: reason for step, reason in found.items() if reason}
    steps = tuple(_summary(step, reports, recorded.broken, stale) for step in Step)
    outcome = _conclude(steps)
    names = sorted({report.port for report in reports.values()}) or [recorded.folder]
    return RunReport(
        schema=SCHEMA,
        port=names[0],
        outcome=outcome,
        headline=_headline(steps),
        steps=steps,
        notes=_mixed(names),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        next_command=_next(steps, port_option or names[0]),
    )


def summary_schema() -> dict[str, Json]:
    """Return the JSON Schema of ``summary.json``, drawn from the dataclasses themselves."""
    described = schema(RunReport, title=f"portalign summary, schema {SCHEMA}")
    described["$defs"]["RunReport"]["properties"]["schema"] = {"const": SCHEMA}
    return described


def write_summary(run: RunReport, port_folder: Path) -> Path:
    """Write ``summary.json`` into the port's logs folder and return its path.

    Raises:
        ReportError: the disk refuses; an earlier summary stays as it was.
    """
    return write_json(run, port_folder / SUMMARY_NAME)


def _read(port_folder: Path, step: Step) -> StepReport:
    path = port_folder / step.value / FILE_NAME
    report = read_step_report(path)
    if report.step is not step:
        raise ReportError(
            f"{path} is the report of step {report.step.value}",
            why="a step can't stand in for another",
            do=f"run {COMMANDS[step]} again",
        )
    return report


def _summary(
    step: Step,
    reports: Mapping[Step, StepReport],
    broken: Mapping[Step, str],
    stale: Mapping[Step, str],
) -> StepSummary:
    report = reports.get(step)
    own = report.outcome if report else None
    failed = [
        needed.value
        for needed in PREREQUISITES[step]
        if needed not in stale and needed in reports and reports[needed].outcome is Outcome.FAIL
    ]
    if step in broken:
        state, reason = StepState.ERROR, broken[step]
    elif step in stale:
        state, reason = StepState.STALE, f"{stale[step]}; run {COMMANDS[step]} again"
    elif failed:
        before = f" (its own outcome was {own.value})" if own else ""
        state, reason = StepState.BLOCKED, f"{' and '.join(failed)} failed first{before}"
    elif report is None:
        state, reason = StepState.MISSING, f"didn't run; {COMMANDS[step]}"
    else:
        state, reason = StepState(report.outcome.value), report.headline
    verdicts = Counter(item.verdict.value for item in report.comparisons) if report else {}
    return StepSummary(
        step=step,
        state=state,
        outcome=_counts_as(state),
        own_outcome=own,
        reason=reason,
        verdicts=dict(sorted(verdicts.items())),
        created=report.created if report else "",
        fingerprint=report.fingerprint if report else "",
    )


def _counts_as(state: StepState) -> Outcome:
    if state in (StepState.BLOCKED, StepState.MISSING, StepState.STALE):
        return Outcome.INCONCLUSIVE
    return Outcome(state.value)


def _conclude(steps: tuple[StepSummary, ...]) -> Outcome:
    outcomes = {step.outcome for step in steps}
    if Outcome.FAIL in outcomes:
        return Outcome.FAIL
    return Outcome.PASS if outcomes == {Outcome.PASS} else Outcome.INCONCLUSIVE


def _headline(steps: tuple[StepSummary, ...]) -> str:
    by_state: dict[StepState, list[str]] = {}
    for step in steps:
        by_state.setdefault(step.state, []).append(step.step.value)
    n_passed = len(by_state.pop(StepState.PASSED, []))
    parts = [f"{state.value}: {', '.join(names)}" for state, names in by_state.items()]
    return f"{n_passed} of {len(steps)} steps pass" + "".join(f"; {part}" for part in parts)


def _mixed(names: list[str]) -> tuple[str, ...]:
    if len(names) == 1:
        return ()
    return (f"the reports are of different ports: {', '.join(names)}",)


def _next(steps: tuple[StepSummary, ...], port: str) -> str:
    """The command for the first step that isn't settled; "" where all passed."""
    for state in (
        StepState.FAILED,
        StepState.ERROR,
        StepState.STALE,
        StepState.MISSING,
        StepState.INCONCLUSIVE,
    ):
        for step in steps:
            if step.state is state:
                return f"{COMMANDS[step.step]} --port {port}"
    return ""
