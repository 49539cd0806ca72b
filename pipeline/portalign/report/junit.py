"""The steps of a port as JUnit XML, so that a CI shows them as tests.

Only a step that passes is a passed test. One that differs is a failure, one that is blocked by
another's failure is skipped, and whatever else could not decide is an error: a CI must not show
green where nothing was proved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from xml.etree import ElementTree

from portalign.records import Step
from portalign.report.aggregate import RunReport, StepState, StepSummary
from portalign.report.document import closing_lines
from portalign.report.plain import plain
from portalign.report.words import Say, english
from portalign.results import StepReport

_ELEMENTS = {StepState.PASSED: "", StepState.FAILED: "failure", StepState.BLOCKED: "skipped"}


def junit(run: RunReport, reports: Mapping[Step, StepReport], say: Say = english) -> str:
    """The run as a JUnit document; names are free of what XML 1.0 forbids."""
    counts = Counter(_element(step) for step in run.steps)
    seconds = {step: _seconds(reports.get(step)) for step in Step}
    totals = {
        "name": plain(run.port),
        "tests": str(len(run.steps)),
        "failures": str(counts["failure"]),
        "errors": str(counts["error"]),
        "skipped": str(counts["skipped"]),
        "time": f"{sum(seconds.values()):.3f}",
    }
    suite = ElementTree.Element("testsuite", {**totals, "timestamp": plain(run.created)[:19]})
    for step in run.steps:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            {
                "classname": f"portalign.{plain(run.port)}",
                "name": step.step.value,
                "time": f"{seconds[step.step]:.3f}",
            },
        )
        _tell(case, step, reports.get(step.step), say)
    root = ElementTree.Element("testsuites", {**totals, "name": "portalign"})
    root.append(suite)
    ElementTree.indent(root)
    declaration = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return declaration + ElementTree.tostring(root, encoding="unicode") + "\n"


def _tell(
    case: ElementTree.Element, step: StepSummary, report: StepReport | None, say: Say
) -> None:
    lines = [plain(say(line)) for line in closing_lines(report)] if report else []
    if element := _element(step):
        reason = plain(say(step.reason))
        told = ElementTree.SubElement(case, element, {"type": step.state.value, "message": reason})
        told.text = "\n".join(lines or [reason])
    elif lines:
        ElementTree.SubElement(case, "system-out").text = "\n".join(lines)


def _element(step: StepSummary) -> str:
    return _ELEMENTS.get(step.state, "error")


def _seconds(report: StepReport | None) -> float:
    """How long the slower side took; 0 where that isn't known."""
    sides = report.sides if report else ()
    return max((side.seconds.get("total", 0.0) for side in sides), default=0.0)
