"""From a port and a step to a report on disk: capture both sides, conclude, write logs and reports.

A step is captured in a folder of its own and takes the place of an earlier one only when it is
complete; a run that fails leaves the earlier results as they are and its own captures beside them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from portalign import captured
from portalign.conclude import Conclusion, conclude
from portalign.config import Port
from portalign.errors import CaptureError, PortalignError
from portalign.processes import Beat, Side, default_python, run_sides
from portalign.records import Role, Step
from portalign.report.aggregate import FAILED_SUFFIX
from portalign.report.data import write_step_report
from portalign.report.document import closing_lines
from portalign.report.keys import dumps
from portalign.report.reprod import write_exchange
from portalign.report.samples import keep_samples
from portalign.results import StepReport

_RUNNING_SUFFIX = ".running"


def run_step(
    port: Port, step: Step, logs: Path, *, on_beat: Callable[[Beat], None], next_command: str = ""
) -> StepReport:
    """Capture both sides of a step and conclude.

    Args:
        port: what to run.
        step: which step.
        logs: the logs folder; everything goes to ``<logs>/<port name>/``.
        on_beat: told several times a second how far each side is.
        next_command: what the report advises to type when this step passes.

    Raises:
        PortalignError: a side could not be run, or its captures can't be used. What was captured is
            kept in ``<step>.failed``; an earlier complete run of the step stays untouched.
    """
    port_folder = logs / port.name
    running = _empty_folder(port_folder / f"{step.value}{_RUNNING_SUFFIX}")
    try:
        fingerprint = captured.note(port, step, running)
        run_sides(_sides(port, step, running), on_beat)
        conclusion = conclude(port, step, running, next_command=next_command)
        report = _write(port, conclusion, running, fingerprint)
    except PortalignError as err:
        _keep_failed(running, port_folder / f"{step.value}{FAILED_SUFFIX}", err)
        raise
    except BaseException:  # interrupted, or a fault of ours: the earlier run stays as it is
        with suppress(OSError):
            _move(running, port_folder / f"{step.value}{FAILED_SUFFIX}")
        raise
    _settle(port_folder, step, running)
    return report


def judge_again(port: Port, step: Step, logs: Path, *, next_command: str = "") -> StepReport:
    """Conclude a step again from what was captured, without running either side.

    Raises:
        TraceError: the step was never captured, or its traces are broken.
        PortFileError: the port has changed since in more than its tolerance.
    """
    folder = logs / port.name / step.value
    fingerprint = captured.require_same(port, step, folder)
    conclusion = conclude(port, step, folder, next_command=next_command)
    report = _write(port, conclusion, folder, fingerprint)
    for name in report.files:
        if (folder / name).is_file():
            (folder / name).replace(logs / port.name / name)
    return report


def _sides(port: Port, step: Step, folder: Path) -> tuple[Side, ...]:
    threads = port.threads or max(1, (os.cpu_count() or 2) // 2)
    return tuple(
        Side(
            replace(port.request(role, step, folder), threads=threads),
            port.interpreter(role) or default_python(),
        )
        for role in Role
    )


def _write(port: Port, conclusion: Conclusion, folder: Path, fingerprint: str) -> StepReport:
    """Write the community's dumps and logs and the report itself; everything into the step's folder
    first.
    """
    report, notes = conclusion.report, list(conclusion.report.notes)
    files: list[str] = []
    exchange: list[str] = []
    sides = side_names(port)
    for dump in dumps(report.step, conclusion.pairs, conclusion.probe):
        result = write_exchange(
            folder,
            dump.prefix,
            sides,
            {key: values[0] for key, values in dump.values.items()},
            {key: values[1] for key, values in dump.values.items()},
            log=dump.log,
            threshold=port.tolerance.mean,
            closing=closing_lines(report),
            python=_reprod_log_python(port),
        )
        files.extend(result.files)
        exchange.extend(dump.values)
        notes.extend(result.notes)
    notes.extend(_kept(conclusion, folder))
    report = replace(
        report,
        files=tuple(files),
        notes=tuple(notes),
        exchange=tuple(exchange),
        fingerprint=fingerprint,
    )
    write_step_report(report, folder)
    return report


def _kept(conclusion: Conclusion, folder: Path) -> tuple[str, ...]:
    """Keep samples of values for the page; what goes wrong there is a note and costs no verdict."""
    try:
        keep_samples(conclusion.report, conclusion.pairs, folder)
    except Exception as err:  # a picture is no reason to lose what was found
        return (f"no values were kept for the page: {type(err).__name__}: {err}",)
    return ()


def _reprod_log_python(port: Port) -> str:
    """The interpreter that most likely has reprod_log (it imports paddle): a paddle side's own."""
    for role in (Role.CANDIDATE, Role.REFERENCE):
        if port.side(role).framework == "paddle" and (named := port.interpreter(role)):
            return named
    return ""


def side_names(port: Port) -> tuple[str, str]:
    """The file name endings of both sides: frameworks, or roles where those are the same."""
    names = (port.reference.framework, port.candidate.framework)
    return names if names[0] != names[1] else (Role.REFERENCE.value, Role.CANDIDATE.value)


def _settle(port_folder: Path, step: Step, running: Path) -> None:
    """Let a complete run take the place of the earlier one; its logs and dumps move up to the
    port's folder.
    """
    _move(running, port_folder / step.value)
    _remove(port_folder / f"{step.value}{FAILED_SUFFIX}")
    for pattern in ("*.npy", "*_diff.log"):
        for file in sorted((port_folder / step.value).glob(pattern)):
            file.replace(port_folder / file.name)


def _keep_failed(running: Path, failed: Path, err: PortalignError) -> None:
    try:
        _move(running, failed)
    except OSError as broken:  # the disk may be what failed: say so and keep the first error
        err.within(f"captures stay in {running}: {broken.strerror}")


def _empty_folder(folder: Path) -> Path:
    try:
        _remove(folder)
        folder.mkdir(parents=True)
    except OSError as err:
        raise CaptureError(
            f"{folder} can't be made: {err.strerror}",
            why="captures, logs and reports go there",
            do="free the place, or name another with --logs",
        ) from err
    return folder


def _move(source: Path, target: Path) -> None:
    _remove(target)
    source.rename(target)


def _remove(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)
