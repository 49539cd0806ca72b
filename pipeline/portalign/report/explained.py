"""Findings in words, for the terminal, and those of all of a port's steps from their reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from portalign.errors import ReportError
from portalign.findings import Finding, FindingKind, Probe
from portalign.records import Step
from portalign.report.data import FILE_NAME, read_step_report
from portalign.results import Outcome, worst

NAMED = 3  # places that are named before it says how many more


def told(finding: Finding) -> tuple[str, ...]:
    """A finding in one to three lines: the claim and where, the proof, the remedy."""
    rule = f" ({finding.rule})" if finding.rule else ""
    lines = [f"{finding.kind.value}{rule}: {finding.claim}, at {_places(finding.where)}"]
    if finding.evidence:
        word = "proof" if finding.is_confirmed else "hint only"
        lines.append(f"  {word}: {finding.evidence}")
    if finding.remedy:
        lines.append(f"  what to do: {finding.remedy}")
    if finding.kind is FindingKind.UNEXPLAINED and finding.ruled_out:
        lines.append(f"  tried: {', '.join(finding.ruled_out)}")
    return tuple(lines)


def probe_lines(probe: Probe | None) -> tuple[str, ...]:
    """What a probe showed, its findings indented below; nothing where it showed nothing."""
    if probe is None:
        return ()
    below = (f"  {line}" for finding in probe.findings for line in told(finding))
    return (f"probe: {probe.text}", *below)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a port's steps found, as `portalign explain --json` prints it."""

    outcome: Outcome
    steps: tuple[ExplainedStep, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The same in words."""
        return tuple(line for step in self.steps for line in _step(step))


@dataclass(frozen=True, slots=True)
class ExplainedStep:
    """The findings of one step, and what a probe showed besides."""

    port: str
    step: Step
    outcome: Outcome
    headline: str
    findings: tuple[Finding, ...]
    probe: Probe | None = None


def explanation(folder: Path) -> Explanation:
    """Every finding of every step that ran, from the reports in a port's logs folder.

    Raises:
        ReportError: no step left a report there, or one can't be read.
    """
    reports = [
        read_step_report(folder / step.value / FILE_NAME)
        for step in Step
        if (folder / step.value / FILE_NAME).is_file()
    ]
    if not reports:
        raise ReportError(
            f"{folder} holds no step's {FILE_NAME}",
            why="findings are read from there",
            do="name the folder of one port, such as logs/bert, or run a step first",
        )
    steps = tuple(
        ExplainedStep(each.port, each.step, each.outcome, each.headline, each.findings, each.probe)
        for each in reports
    )
    return Explanation(worst([step.outcome for step in steps]), steps)


def _step(step: ExplainedStep) -> tuple[str, ...]:
    head = f"{step.port} {step.step.value}: {step.headline}"
    found = [line for finding in step.findings for line in told(finding)]
    return (head, *(f"  {line}" for line in (*found, *probe_lines(step.probe))))


def _places(where: Sequence[str]) -> str:
    more = len(where) - NAMED
    return "; ".join(where[:NAMED]) + (f"; and {more} more" if more > 0 else "")
