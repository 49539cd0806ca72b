"""The command line: ``portalign run | step | check | compare | explain | report | ports | schema``
and the scripts in ``steps/``.

Only this module, `commands`, `publishing` and `terminal` print. Exit codes: 0 aligned, 1 diverged,
2 could not decide.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, NoReturn, Optional

import typer

from portalign import __version__
from portalign.commands import (
    DEFAULT_PORT,
    Wish,
    check_steps,
    compare_dumps,
    explain_again,
    report_again,
    run_steps,
)
from portalign.config import port_schema, shipped_ports
from portalign.records import Step
from portalign.results import Outcome

PortOption = Annotated[str, typer.Option("--port", help="A shipped port's name, or a port.yaml.")]
SetOption = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads it at run time on Python 3.10
    typer.Option("--set", metavar="KEY=VALUE", help="Override an entry of the port file."),
]
LogsOption = Annotated[Path, typer.Option("--logs", help="Folder for logs and captures.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print the last line only.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print results as JSON, nothing else.")]


class Language(str, Enum):
    """What reports can be written in."""

    EN = "en"
    ZH = "zh"


LangOption = Annotated[
    Language, typer.Option("--lang", help="Language of verdicts, reasons and headings.")
]
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
        as_json: JsonOption = False,
        lang: LangOption = Language.EN,
        debug: DebugOption = False,
        rejudge: RejudgeOption = False,
    ) -> None:
        wish = _wish(port, overrides, logs, _Manner(quiet, as_json, lang, debug))
        if step == "check":
            _end(check_steps(wish))
        _end(run_steps(wish, (Step(step),), rejudge=rejudge))

    script.command(help=f"The {step} step.")(one_step)
    script(args=argv, prog_name=Path(sys.argv[0]).name)
    sys.exit(0)


@app.command()
def run(
    port: PortOption = DEFAULT_PORT,
    overrides: SetOption = None,
    logs: LogsOption = Path("logs"),
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    lang: LangOption = Language.EN,
    debug: DebugOption = False,
) -> None:
    """Run all steps of a port and gather them into one verdict."""
    wish = _wish(port, overrides, logs, _Manner(quiet, as_json, lang, debug))
    run_steps(wish, tuple(Step), is_all=True)
    _end(check_steps(wish))


@app.command()
def step(
    name: Annotated[Step, typer.Argument(help="Which step.")],
    port: PortOption = DEFAULT_PORT,
    overrides: SetOption = None,
    logs: LogsOption = Path("logs"),
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    lang: LangOption = Language.EN,
    debug: DebugOption = False,
    rejudge: RejudgeOption = False,
) -> None:
    """Run one step of a port."""
    wish = _wish(port, overrides, logs, _Manner(quiet, as_json, lang, debug))
    _end(run_steps(wish, (name,), rejudge=rejudge))


@app.command()
def check(
    port: PortOption = DEFAULT_PORT,
    overrides: SetOption = None,
    logs: LogsOption = Path("logs"),
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    lang: LangOption = Language.EN,
    debug: DebugOption = False,
) -> None:
    """Gather the steps found under the logs folder into one verdict."""
    _end(check_steps(_wish(port, overrides, logs, _Manner(quiet, as_json, lang, debug))))


@app.command()
def compare(
    reference: Annotated[Path, typer.Argument(help="A dump of the reference.")],
    candidate: Annotated[Path, typer.Argument(help="A dump of the candidate.")],
    relative: Annotated[
        Optional[float],  # noqa: UP045 - typer reads it at run time on Python 3.10
        typer.Option(help="Relative tolerance for floats, instead of the measured one per dtype."),
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    lang: LangOption = Language.EN,
    debug: DebugOption = False,
) -> None:
    """Compare two dumps: traces, reprod_log .npy, .npy, .npz, .safetensors, folders of .npy."""
    wish = _wish("", None, Path(), _Manner(quiet, as_json, lang, debug))
    _end(compare_dumps(wish, reference, candidate, relative=relative))


@app.command()
def explain(
    folder: Annotated[Path, typer.Argument(help="The logs of one port, such as logs/bert.")],
    as_json: JsonOption = False,
    lang: LangOption = Language.EN,
    debug: DebugOption = False,
) -> None:
    """Print again why a port differs, as its steps found it."""
    _end(explain_again(_wish("", None, folder, _Manner(False, as_json, lang, debug)), folder))


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A port's logs: logs/<port>.")],
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    lang: LangOption = Language.EN,
    debug: DebugOption = False,
) -> None:
    """Write all reports of a port again from what its steps recorded; needs no framework."""
    _end(report_again(_wish("", None, folder, _Manner(quiet, as_json, lang, debug)), folder))


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


@dataclass(frozen=True, slots=True)
class _Manner:
    """How to say results."""

    quiet: bool
    as_json: bool
    lang: Language
    debug: bool


def _wish(port: str, overrides: list[str] | None, logs: Path, manner: _Manner) -> Wish:
    return Wish(
        port=port,
        overrides=tuple(overrides or ()),
        logs=logs,
        is_quiet=manner.quiet,
        is_debug=manner.debug,
        is_json=manner.as_json,
        language=manner.lang.value,
    )


def _end(outcome: Outcome) -> NoReturn:
    raise typer.Exit(outcome.exit_code)
