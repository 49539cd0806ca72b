"""What the commands do once their words are understood: run steps, conclude, show.

`cli` reads the words; here the pieces are put together, and every way to go wrong ends at one edge.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console

from portalign.captured import staleness
from portalign.compare.files import compare_files
from portalign.compare.pairs import overall
from portalign.compare.vacuity import same_file
from portalign.config import Port, load_port
from portalign.errors import PortalignError, ReportError
from portalign.publishing import publish, write_and_tell
from portalign.records import Step
from portalign.report.aggregate import RunReport, StepSummary
from portalign.report.codec import encode
from portalign.report.document import (
    Document,
    comparison_document,
    indented,
    run_document,
    step_document,
)
from portalign.report.explained import Explanation, explanation
from portalign.report.outputs import recorded_run
from portalign.report.spoken import said, spoken
from portalign.report.text import render
from portalign.report.words import Say, english, language
from portalign.results import Comparison, Outcome, Reservation, Unpaired
from portalign.runner import judge_again, run_step
from portalign.terminal import Progress, edge

DEFAULT_PORT = "bert"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for.

    Attributes:
        port: as the user named it.
        overrides: what was given to ``--set``.
        is_json: print results as JSON and nothing else.
        language: of verdicts, reasons and headings: one of `words.LANGUAGES`.
    """

    port: str
    overrides: tuple[str, ...]
    logs: Path
    is_quiet: bool
    is_debug: bool
    is_json: bool = False
    language: str = "en"

    @property
    def is_silent(self) -> bool:
        """Whether nothing but the last line, or the JSON, is wanted."""
        return self.is_quiet or self.is_json

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
    port, out = load(wish), console(is_quiet=wish.is_silent)
    for at, each in enumerate(steps):
        if is_all and (missing := port.missing(each)):
            out.print(f"{port.name} {each.value}: left out, the port file has no {missing[0]}")
            continue
        with edge(errors(), debug=wish.is_debug):
            try:
                outcome = _one_step(wish, port, steps[at:], out, rejudge=rejudge)
            except PortalignError as err:
                if not is_all:
                    raise
                errors().print(f"portalign: {err}", markup=False, highlight=False, soft_wrap=True)
    if not is_all:
        with edge(errors(), debug=wish.is_debug):
            result = _publish(wish, port, out)
            if wish.is_json:
                (found,) = (found for found in result.steps if found.step is steps[-1])
                _as_json(found)
    return outcome


def check_steps(wish: Wish) -> Outcome:
    """Gather all steps into one verdict and show it."""
    port, out = load(wish), console(is_quiet=wish.is_silent)
    with edge(errors(), debug=wish.is_debug):
        result = _publish(wish, port, out)
        _show_run(wish, result, out, wish.logs / port.name)
    return result.outcome


def report_again(wish: Wish, folder: Path) -> Outcome:
    """Write a port's reports anew from what is recorded, and show its verdict."""
    out = console(is_quiet=wish.is_silent)
    with edge(errors(), debug=wish.is_debug):
        result, recorded = recorded_run(folder)
        if not (recorded.reports or recorded.broken):
            raise ReportError(
                f"{folder} holds no step's report",
                why="there is nothing to write reports from",
                do="name the folder of a port that was run, such as logs/bert",
            )
        say = language(wish.language)
        write_and_tell(folder, result, recorded, console=out, errors=errors(), say=say)
        _show_run(wish, result, out, folder)
    return result.outcome


@dataclass(frozen=True, slots=True)
class Compared:
    """Two dumps side by side, as `portalign compare --json` prints them."""

    outcome: Outcome
    comparisons: tuple[Comparison, ...]
    unpaired: tuple[Unpaired, ...]
    reservations: tuple[Reservation, ...]


def compare_dumps(
    wish: Wish, reference: Path, candidate: Path, *, relative: float | None
) -> Outcome:
    """Compare two dumps that anyone may have written, and show it."""
    with edge(errors(), debug=wish.is_debug):
        comparisons, unpaired = compare_files(reference, candidate, relative=relative)
        found = same_file(reference, candidate)
        reservations = (found,) if found else ()
        outcome = overall(comparisons, unpaired, reservations)
        if wish.is_json:
            _as_json(Compared(outcome, comparisons, unpaired, reservations))
            return outcome
        title = f"{reference.name} against {candidate.name}"
        document = comparison_document(title, comparisons, unpaired, outcome, reservations)
        show(document, console(is_quiet=wish.is_quiet), say=language(wish.language))
    return outcome


def explain_again(wish: Wish, folder: Path) -> Outcome:
    """Print the findings of a port's steps from their reports."""
    with edge(errors(), debug=wish.is_debug):
        found = explanation(folder)
    if wish.is_json:
        _as_json(found)
        return found.outcome
    say = language(wish.language)
    for line in found.lines:
        typer.echo(said(indented(line), say))
    return found.outcome


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


def show(
    document: Document, out: Console, folder: Path | None = None, *, say: Say = english
) -> None:
    """Print a document; its first line only where the console is quiet."""
    document = spoken(document, say)
    render(document, out, say)
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


def _one_step(
    wish: Wish, port: Port, steps: Sequence[Step], out: Console, *, rejudge: bool
) -> Outcome:
    """Run the first of these steps; the others remain."""
    step, *later = steps
    advice = next_command(step, wish.chosen)
    if rejudge:
        report = judge_again(port, step, wish.logs, next_command=advice)
    else:
        with Progress(out, step, port.name, later) as progress:
            report = run_step(port, step, wish.logs, on_beat=progress, next_command=advice)
    if not wish.is_json:
        show(step_document(report), out, wish.logs / port.name, say=language(wish.language))
    return report.outcome


def _show_run(wish: Wish, result: RunReport, out: Console, folder: Path) -> None:
    if wish.is_json:
        _as_json(result)
    else:
        show(run_document(result), out, folder, say=language(wish.language))


def _as_json(found: RunReport | StepSummary | Compared | Explanation) -> None:
    typer.echo(json.dumps(encode(found), indent=1, allow_nan=False))


def _publish(wish: Wish, port: Port, out: Console) -> RunReport:
    return publish(
        wish.logs / port.name,
        port_option=wish.chosen,
        staleness=staleness(port),
        console=out,
        errors=errors(),
        say=language(wish.language),
    )
