"""The command line: ``portalign run | step | check | compare | explain | ports | schema`` and the
scripts in ``steps/``.

Only this module and `terminal` print. Exit codes: 0 aligned, 1 diverged, 2 could not decide.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn, Optional

import typer
from rich.console import Console

from portalign import __version__
from portalign.captured import staleness
from portalign.compare.files import compare_files
from portalign.compare.pairs import overall
from portalign.compare.vacuity import same_file
from portalign.config import Port, load_port, port_schema, shipped_ports
from portalign.errors import PortalignError
from portalign.records import Step
from portalign.report.aggregate import gather, write_summary
from portalign.report.document import (
    Document,
    comparison_document,
    indented,
    run_document,
    step_document,
)
from portalign.report.explained import explanation
from portalign.report.text import render
from portalign.results import Outcome
from portalign.runner import judge_again, run_step
from portalign.terminal import Progress, edge

DEFAULT_PORT = "bert"

PortOption = Annotated[str, typer.Option("--port", help="A shipped port's name, or a port.yaml.")]
SetOption = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads it at run time on Python 3.10
    typer.Option("--set", metavar="KEY=VALUE", help="Override an entry of the port file."),
]
LogsOption = Annotated[Path, typer.Option("--logs", help="Folder for logs and captures.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print the last line only.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
RejudgeOption = Annotated[
    bool, typer.Option("--rejudge", help="Conclude again from the captures of an earlier run.")
]

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Entry of the ``portalign`` command."""
    app(args=arguments, prog_name="portalign")
    sys.exit(0)


def step_main(step: str, *, default_logs: Path, argv: list[str] | None = None) -> NoReturn:
    """Entry of the scripts in ``steps/``: one step, logs beside the checkout.

    Args:
        step: a step's name, or "check".
        default_logs: the logs folder unless ``--logs`` names another.
        argv: arguments; the command line's if None.
    """
    script = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    def one_step(
        port: PortOption = DEFAULT_PORT,
        overrides: SetOption = None,
        logs: LogsOption = default_logs,
        quiet: QuietOption = False,
        debug: DebugOption = False,
        rejudge: RejudgeOption = False,
    ) -> None:
        console = _console(quiet=quiet)
        if step == "check":
            _end(_check(port, overrides, logs, console, debug=debug))
        steps = (Step(step),)
        _end(_steps(steps, port, overrides, logs, console, debug=debug, rejudge=rejudge))

    script.command(help=f"The {step} step.")(one_step)
    script(args=argv, prog_name=Path(sys.argv[0]).name)
    sys.exit(0)


@app.command()
def run(
    port: PortOption = DEFAULT_PORT,
    overrides: SetOption = None,
    logs: LogsOption = Path("logs"),
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Run all steps of a port and gather them into one verdict."""
    console = _console(quiet=quiet)
    steps = tuple(Step)
    _steps(steps, port, overrides, logs, console, debug=debug, rejudge=False, is_all=True)
    _end(_check(port, overrides, logs, console, debug=debug))


@app.command()
def step(
    name: Annotated[Step, typer.Argument(help="Which step.")],
    port: PortOption = DEFAULT_PORT,
    overrides: SetOption = None,
    logs: LogsOption = Path("logs"),
    quiet: QuietOption = False,
    debug: DebugOption = False,
    rejudge: RejudgeOption = False,
) -> None:
    """Run one step of a port."""
    console = _console(quiet=quiet)
    _end(_steps((name,), port, overrides, logs, console, debug=debug, rejudge=rejudge))


@app.command()
def check(
    port: PortOption = DEFAULT_PORT,
    overrides: SetOption = None,
    logs: LogsOption = Path("logs"),
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Gather the steps found under the logs folder into one verdict."""
    _end(_check(port, overrides, logs, _console(quiet=quiet), debug=debug))


@app.command()
def compare(
    reference: Annotated[Path, typer.Argument(help="A dump of the reference.")],
    candidate: Annotated[Path, typer.Argument(help="A dump of the candidate.")],
    relative: Annotated[
        Optional[float],  # noqa: UP045 - typer reads it at run time on Python 3.10
        typer.Option(help="Relative tolerance for floats, instead of the measured one per dtype."),
    ] = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Compare two dumps: traces, reprod_log .npy, .npy, .npz, .safetensors, folders of .npy."""
    with edge(_errors(), debug=debug):
        comparisons, unpaired = compare_files(reference, candidate, relative=relative)
        found = same_file(reference, candidate)
        reservations = (found,) if found else ()
        outcome = overall(comparisons, unpaired, reservations)
        title = f"{reference.name} against {candidate.name}"
        document = comparison_document(title, comparisons, unpaired, outcome, reservations)
        _show(document, _console(quiet=quiet))
    _end(outcome)


@app.command()
def explain(
    folder: Annotated[Path, typer.Argument(help="The logs of one port, such as logs/bert.")],
    debug: DebugOption = False,
) -> None:
    """Print again why a port differs, as its steps found it."""
    with edge(_errors(), debug=debug):
        outcome, lines = explanation(folder)
    for line in lines:
        typer.echo(indented(line))
    _end(outcome)


@app.command()
def ports() -> None:
    """List the ports that ship with portalign."""
    for name in shipped_ports():
        typer.echo(name)


@app.command()
def schema() -> None:
    """Print the JSON schema of the port file, for editors."""
    typer.echo(json.dumps(port_schema(), indent=2))


@app.command()
def version() -> None:
    """Print portalign's version."""
    typer.echo(__version__)


def _steps(
    steps: Sequence[Step],
    port_name: str,
    overrides: list[str] | None,
    logs: Path,
    console: Console,
    *,
    debug: bool,
    rejudge: bool,
    is_all: bool = False,
) -> Outcome:
    """Run steps in order. A step that could not run ends the command, or in a whole run only
    itself.
    """
    outcome = Outcome.INCONCLUSIVE
    chosen = _chosen(port_name, overrides)
    port = _load(port_name, overrides, debug=debug)
    for each in steps:
        if is_all and (missing := port.missing(each)):
            console.print(f"{port.name} {each.value}: left out, the port file has no {missing[0]}")
            continue
        with edge(_errors(), debug=debug):
            try:
                outcome = _one_step(port, each, chosen, logs, console, rejudge=rejudge)
            except PortalignError as err:
                if not is_all:
                    raise
                _errors().print(f"portalign: {err}", markup=False, highlight=False, soft_wrap=True)
    return outcome


def _one_step(
    port: Port, step: Step, chosen: str, logs: Path, console: Console, *, rejudge: bool
) -> Outcome:
    advice = next_command(step, chosen)
    if rejudge:
        report = judge_again(port, step, logs, next_command=advice)
    else:
        with Progress(console, step, port.name) as progress:
            report = run_step(port, step, logs, on_beat=progress, next_command=advice)
    _show(step_document(report), console, logs / port.name)
    return report.outcome


def next_command(step: Step, chosen: str) -> str:
    """What to type after a step that passed, on the port as it was chosen."""
    order = [each.value for each in Step] + ["check"]
    following = order[order.index(step.value) + 1]
    number = order.index(following) + 1
    suffix = "" if chosen == DEFAULT_PORT else f" --port {chosen}"
    return f"python steps/step{number}_{following}.py{suffix}"


def _chosen(port_name: str, overrides: list[str] | None) -> str:
    """The port as the user named it, with the overrides that make it what it is."""
    sets = (f"--set {shlex.quote(each)}" for each in overrides or ())
    return " ".join((shlex.quote(port_name), *sets))


def _check(
    port_name: str, overrides: list[str] | None, logs: Path, console: Console, *, debug: bool
) -> Outcome:
    port = _load(port_name, overrides, debug=debug)
    folder = logs / port.name
    with edge(_errors(), debug=debug):
        chosen = _chosen(port_name, overrides)
        result = gather(folder, port_option=chosen, staleness=staleness(port))
        if folder.is_dir():
            write_summary(result, folder)
        _show(run_document(result), console, folder)
    return result.outcome


def _show(document: Document, console: Console, folder: Path | None = None) -> None:
    render(document, console)
    if console.quiet:
        typer.echo(f"{document.title}: {document.word}. {document.headline}")
        return
    if folder is not None:
        console.print(f"logs: {folder}", markup=False, highlight=False, soft_wrap=True)
    console.print()


def _load(port_name: str, overrides: list[str] | None, *, debug: bool) -> Port:
    with edge(_errors(), debug=debug):
        return load_port(port_name, overrides or [])


def _end(outcome: Outcome) -> NoReturn:
    raise typer.Exit(outcome.exit_code)


def _console(*, quiet: bool) -> Console:
    return Console(quiet=quiet)


def _errors() -> Console:
    return Console(stderr=True)
