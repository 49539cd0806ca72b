"""Every file that tells people and machines about a port, written from its recorded results.

A verdict never depends on these files: one that can't be written is named, the others are written
all the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from portalign.errors import PortalignError
from portalign.records import Step
from portalign.report import html
from portalign.report.aggregate import (
    COMMANDS,
    SUMMARY_NAME,
    Recorded,
    RunReport,
    StepState,
    read_recorded,
    summarise,
    write_summary,
)
from portalign.report.codec import decode
from portalign.report.files import write_bytes, write_text
from portalign.report.junit import junit
from portalign.report.markdown import markdown
from portalign.report.samples import read_samples
from portalign.report.words import Say, english
from portalign.results import StepReport

HTML_NAME = "report.html"
MARKDOWN_NAME = "report.md"
JUNIT_NAME = "junit.xml"
GROWTH_NAME = "growth.png"
CURVES_NAME = "curves.png"
Reports = Mapping[Step, StepReport]


@dataclass(frozen=True, slots=True)
class Written:
    """What came of writing.

    Attributes:
        files: names of the files that were written.
        faults: one line for each that could not be.
    """

    files: tuple[str, ...]
    faults: tuple[str, ...]


def write_outputs(
    port_folder: Path, run: RunReport, recorded: Recorded, say: Say = english
) -> Written:
    """Write all reports of a port into ``logs/<port>/``.

    Args:
        port_folder: ``logs/<port>/``, with the folders of its steps.
        run: the verdict over all steps.
        recorded: what the steps found.
        say: puts sentences into the reader's language.
    """
    files: list[str] = []
    faults: list[str] = []
    for name, write in _WRITERS.items():
        try:
            if write(port_folder, run, recorded.reports, say):
                files.append(name)
        except PortalignError as err:
            faults.append(f"{name}: {err.found}")
        except Exception as err:  # ours, and no reason to lose the verdict: it is said instead
            faults.append(f"{name} can't be written: {type(err).__name__}: {err}")
    return Written(tuple(files), tuple(faults))


def recorded_run(port_folder: Path) -> tuple[RunReport, Recorded]:
    """The verdict over all steps from what is recorded alone, without the port.

    Whether a step is stale only the port can tell, so what an earlier summary said of the very same
    report is kept.
    """
    recorded = read_recorded(port_folder)
    earlier = _earlier(port_folder / SUMMARY_NAME)
    stale = {
        (step.step, step.created): step.reason.removesuffix(f"; run {COMMANDS[step.step]} again")
        for step in (earlier.steps if earlier else ())
        if step.state is StepState.STALE
    }
    option = earlier.next_command.partition(" --port ")[2] if earlier else ""
    run = summarise(
        recorded,
        port_option=option,
        staleness=lambda report: stale.get((report.step, report.created), ""),
    )
    return run, recorded


def _earlier(path: Path) -> RunReport | None:
    """The summary as it was written last; None where there is none that can be read."""
    try:
        return decode(json.loads(path.read_text(encoding="utf-8")), RunReport)
    except (OSError, ValueError, RecursionError):
        return None


def _summary(folder: Path, run: RunReport, reports: Reports, say: Say) -> bool:
    write_summary(run, folder)
    return True


def _html(folder: Path, run: RunReport, reports: Reports, say: Say) -> bool:
    samples = {step: read_samples(folder / step.value) for step in reports}
    write_text(html.render(run, reports, say, samples=samples), folder / HTML_NAME)
    return True


def _markdown(folder: Path, run: RunReport, reports: Reports, say: Say) -> bool:
    write_text(markdown(run, reports, say), folder / MARKDOWN_NAME)
    return True


def _junit(folder: Path, run: RunReport, reports: Reports, say: Say) -> bool:
    write_text(junit(run, reports, say), folder / JUNIT_NAME)
    return True


def _growth(folder: Path, run: RunReport, reports: Reports, say: Say) -> bool:
    return _image(folder / GROWTH_NAME, (Step.FORWARD, Step.BACKWARD), "growth_image", reports)


def _curves(folder: Path, run: RunReport, reports: Reports, say: Say) -> bool:
    return _image(folder / CURVES_NAME, (Step.BACKWARD, Step.LR_SCHEDULER), "curves_image", reports)


def _image(path: Path, steps: tuple[Step, ...], draw: str, reports: Reports) -> bool:
    """Draw the first of these steps that has anything to draw; an earlier image goes where none
    has.
    """
    from portalign.report import images  # matplotlib takes a second to start

    for step in steps:
        if step in reports and (image := getattr(images, draw)(reports[step])):
            write_bytes(image, path)
            return True
    path.unlink(missing_ok=True)
    return False


_WRITERS: dict[str, Callable[[Path, RunReport, Reports, Say], bool]] = {
    SUMMARY_NAME: _summary,
    HTML_NAME: _html,
    MARKDOWN_NAME: _markdown,
    JUNIT_NAME: _junit,
    GROWTH_NAME: _growth,
    CURVES_NAME: _curves,
}
