"""What the commands do once their words are understood: run steps, conclude, show.

`cli` reads the words; here the pieces are put together, and every way to go wrong ends at one edge.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console

from portalign.captured import staleness
from portalign.config import Port, load_port
from portalign.errors import PortalignError, ReportError
from portalign.publishing import publish, write_and_tell
from portalign.records import Step
from portalign.report.aggregate import RunReport
from portalign.report.document import Document, run_document, step_document
from portalign.report.outputs import recorded_run
from portalign.report.text import render
from portalign.results import Outcome
from portalign.runner import judge_again, run_step
from portalign.terminal import Progress, edge

DEFAULT_PORT = "bert"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for.

    Attributes:
        port: as the user named it.
        overrides: what was given to ``--set``.
    """

    port: str
    overrides: tuple[str, ...]
    logs: Path
    is_quiet: bool
    is_debug: bool

    @property
    def chosen(self) -> str:
        """The port as the user named it, with the overrides that make it what it is."""
        sets = (f"--set {shlex.quote(each)}" for each in self.overrides)
        return " ".join((shlex.quote(self.port), *sets))


def run_steps(
    wish: Wish, steps: Sequence[Step], *, rejudge: bool = False, is_all: bool = False
) -> Outcome:
    """Run steps in order. A step that could not run ends the command, or in a whole run only
    itself.
    """
    outcome = Outcome.INCONCLUSIVE
    port, out = load(wish), console(is_quiet=wish.is_quiet)
    for each in steps:
        if is_all and (missing := port.missing(each)):
            out.print(f"{port.name} {each.value}: left out, the port file has no {missing[0]}")
            continue
        with edge(errors(), debug=wish.is_debug):
            try:
                outcome = _one_step(wish, port, each, out, rejudge=rejudge)
            except PortalignError as err:
                if not is_all:
                    raise
                errors().print(f"portalign: {err}", markup=False, highlight=False, soft_wrap=True)
    if not is_all:
        with edge(errors(), debug=wish.is_debug):
            _publish(wish, port, out)
    return outcome


def check_steps(wish: Wish) -> Outcome:
    """Gather all steps into one verdict and show it."""
    port, out = load(wish), console(is_quiet=wish.is_quiet)
    with edge(errors(), debug=wish.is_debug):
        result = _publish(wish, port, out)
        show(run_document(result), out, wish.logs / port.name)
    return result.outcome


def report_again(folder: Path, *, is_quiet: bool, is_debug: bool) -> Outcome:
    """Write a port's reports anew from what is recorded, and show its verdict."""
    out = console(is_quiet=is_quiet)
    with edge(errors(), debug=is_debug):
        result, recorded = recorded_run(folder)
        if not (recorded.reports or recorded.broken):
            raise ReportError(
                f"{folder} holds no step's report",
                why="there is nothing to write reports from",
                do="name the folder of a port that was run, such as logs/bert",
            )
        write_and_tell(folder, result, recorded, console=out, errors=errors())
        show(run_document(result), out, folder)
    return result.outcome


def next_command(step: Step, chosen: str) -> str:
    """What to type after a step that passed, on the port as it was chosen."""
    order = [each.value for each in Step] + ["check"]
    following = order[order.index(step.value) + 1]
    number = order.index(following) + 1
    suffix = "" if chosen == DEFAULT_PORT else f" --port {chosen}"
    return f"python steps/step{number}_{following}.py{suffix}"


def load(wish: Wish) -> Port:
    """The port, with its overrides."""
    with edge(errors(), debug=wish.is_debug):
        return load_port(wish.port, list(wish.overrides))


def show(document: Document, out: Console, folder: Path | None = None) -> None:
    """Print a document; its first line only where the console is quiet."""
    render(document, out)
    if out.quiet:
        typer.echo(f"{document.title}: {document.word}. {document.headline}")
        return
    if folder is not None:
        out.print(f"logs: {folder}", markup=False, highlight=False, soft_wrap=True)
    out.print()


def console(*, is_quiet: bool) -> Console:
    """Where results go."""
    return Console(quiet=is_quiet)


def errors() -> Console:
    """Where what went wrong goes."""
    return Console(stderr=True)


def _one_step(wish: Wish, port: Port, step: Step, out: Console, *, rejudge: bool) -> Outcome:
    advice = next_command(step, wish.chosen)
    if rejudge:
        report = judge_again(port, step, wish.logs, next_command=advice)
    else:
        with Progress(out, step, port.name) as progress:
            report = run_step(port, step, wish.logs, on_beat=progress, next_command=advice)
    show(step_document(report), out, wish.logs / port.name)
    return report.outcome


def _publish(wish: Wish, port: Port, out: Console) -> RunReport:
    return publish(
        wish.logs / port.name,
        port_option=wish.chosen,
        staleness=staleness(port),
        console=out,
        errors=errors(),
    )
