"""Findings in words, for the terminal, and those of all of a port's steps from their reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from portalign.errors import ReportError
from portalign.findings import Finding, FindingKind
from portalign.records import Step
from portalign.report.data import FILE_NAME, read_step_report
from portalign.results import Outcome, StepReport, worst

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


def explanation(folder: Path) -> tuple[Outcome, tuple[str, ...]]:
    """Every finding of every step that ran, from the reports in a port's logs folder.

    Returns:
        The worst outcome of the steps, and lines to print.

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
    lines = tuple(line for report in reports for line in _step(report))
    return worst([report.outcome for report in reports]), lines


def _step(report: StepReport) -> tuple[str, ...]:
    head = f"{report.port} {report.step.value}: {report.headline}"
    if not report.findings:
        return (head,)
    return (head, *(f"  {line}" for finding in report.findings for line in told(finding)))


def _places(where: Sequence[str]) -> str:
    more = len(where) - NAMED
    return "; ".join(where[:NAMED]) + (f"; and {more} more" if more > 0 else "")
