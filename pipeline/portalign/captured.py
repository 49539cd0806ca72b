"""What a step's captures were made with, kept beside them, and whether the port is still the same.

A verdict holds for the settings and the code that were captured; a port that changed since needs
captures of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from portalign.config import Port
from portalign.config.decisive import changes, decisive, overrides_back
from portalign.errors import PortFileError, TraceError
from portalign.records import Step
from portalign.report.codec import encode
from portalign.report.data import write_json
from portalign.request import Json
from portalign.results import StepReport

FILE_NAME = "captured.json"


@dataclass(frozen=True, slots=True)
class Captured:
    """What a step was captured with.

    Attributes:
        fingerprint: `Port.fingerprint` of the step, taken before the sides ran.
        settings: the port, as `Port.as_dict` has it.
    """

    fingerprint: str
    settings: dict[str, object]


def note(port: Port, step: Step, folder: Path) -> str:
    """Write what is about to be captured into the step's folder; return its fingerprint.

    Raises:
        ReportError: the disk refuses.
    """
    captured = Captured(port.fingerprint(step), port.as_dict())
    write_json(captured, folder / FILE_NAME)
    return captured.fingerprint


def require_same(port: Port, step: Step, folder: Path) -> str:
    """The fingerprint of what was captured; "" where nothing says it, as with captures that were
    made without a run.

    Raises:
        PortFileError: the port has changed since in something that decides the captures.
        TraceError: what was noted can't be read.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return ""
    captured = _read(path)
    if captured.fingerprint == port.fingerprint(step):
        return captured.fingerprint
    raise PortFileError(
        f"{step.value} was captured with another port: {_what(captured.settings, port, step)}",
        why="captures say nothing about code or settings that they weren't made with",
        do=f"run the step again without --rejudge{_or_repeat(captured.settings, port, step)}",
    )


def staleness(port: Port) -> Callable[[StepReport], str]:
    """A function that says why a report no longer speaks for the port as it stands; "" if it does.

    A report without a fingerprint doesn't: nothing shows what it was captured with.
    """

    def why(report: StepReport) -> str:
        if report.fingerprint == port.fingerprint(report.step):
            return ""
        if not report.fingerprint:
            return "nothing says what it was captured with"
        what = _what(report.settings, port, report.step)
        again = _or_repeat(report.settings, port, report.step)
        return f"captured with another port: {what}{again}"

    return why


def _what(before: Mapping[str, Json], port: Port, step: Step) -> str:
    found = changes(decisive(before, step), decisive(_now(port), step))
    return ", ".join(found) or "a file with its functions has changed since"


def _or_repeat(before: Mapping[str, Json], port: Port, step: Step) -> str:
    sets = overrides_back(decisive(before, step), decisive(_now(port), step))
    return f"; or repeat {' '.join(f'--set {each}' for each in sets)}" if sets else ""


def _now(port: Port) -> dict[str, Json]:
    now: dict[str, Json] = encode(port.as_dict())  # as a report keeps it: infinities are words
    return now


def _read(path: Path) -> Captured:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(data["fingerprint"], str) and isinstance(data["settings"], dict):
            return Captured(data["fingerprint"], data["settings"])
        fault = "it holds something else"
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as err:
        fault = str(err)
    raise TraceError(
        f"{path} can't be read: {fault}",
        why="it says what was captured, and the port may have changed since",
        do="run the step again",
    )
