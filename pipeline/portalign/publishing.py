"""After a command: all of a port's reports written anew, and what could not be written said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from portalign.report.aggregate import Recorded, RunReport, read_recorded, summarise
from portalign.report.outputs import HTML_NAME, write_outputs
from portalign.report.words import Say, english
from portalign.results import StepReport


def publish(
    folder: Path,
    *,
    port_option: str,
    staleness: Callable[[StepReport], str],
    console: Console,
    errors: Console,
    say: Say = english,
) -> RunReport:
    """Conclude over all steps and write every report.

    Args:
        folder: ``logs/<port>/``; nothing is written if it isn't there.
        port_option, staleness: as in `summarise`.
        console: is told where the page is.
        errors: is told what could not be written.
        say: puts sentences into the reader's language.
    """
    recorded = read_recorded(folder)
    run = summarise(recorded, port_option=port_option, staleness=staleness)
    if folder.is_dir():
        write_and_tell(folder, run, recorded, console=console, errors=errors, say=say)
    return run


def write_and_tell(
    folder: Path,
    run: RunReport,
    recorded: Recorded,
    *,
    console: Console,
    errors: Console,
    say: Say = english,
) -> None:
    """Write every report of a port; say where the page is and what could not be written."""
    written = write_outputs(folder, run, recorded, say)
    for fault in written.faults:
        _print(errors, f"portalign: {fault}")
    if HTML_NAME in written.files:
        _print(console, f"report: {folder / HTML_NAME}")


def _print(console: Console, text: str) -> None:
    console.print(Text(text), soft_wrap=True, highlight=False)
