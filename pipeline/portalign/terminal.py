"""What the terminal shows while a step runs, and how a run that could not decide ends."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import NoReturn, final

from rich.console import Console
from rich.status import Status
from rich.text import Text

from portalign.errors import PortalignError
from portalign.processes import Beat
from portalign.records import Role, Step


@final
class Progress:
    """A line that says what both sides are doing and which steps remain; silent without a terminal,
    but for one line a step.
    """

    def __init__(self, console: Console, step: Step, port: str, later: Sequence[Step] = ()) -> None:
        self._console = console
        self._title = f"{port} {step.value}"
        self._remains = f"; then {', '.join(each.value for each in later)}" if later else ""
        self._beats: dict[Role, Beat] = {}
        self._status = Status(Text(self._title), console=console)

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._status.start()
        elif not self._console.quiet:
            self._console.print(Text(f"{self._title}: capturing both sides"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._status.stop()

    def __call__(self, beat: Beat) -> None:
        """Show how far one side is."""
        self._beats[beat.role] = beat
        sides = (_said(self._beats[role]) for role in Role if role in self._beats)
        self._status.update(Text(f"{self._title}: {', '.join(sides)}{self._remains}"))


@contextmanager
def edge(console: Console, *, debug: bool) -> Iterator[None]:
    """What goes wrong inside ends with a message and exit code 2: 1 means that the sides differ."""
    former = signal.getsignal(signal.SIGTERM)
    is_main = threading.current_thread() is threading.main_thread()  # others may not set handlers
    try:
        if is_main:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        yield
    except PortalignError as err:
        stop(err, console, debug=debug)
    except KeyboardInterrupt as err:
        stop(_interrupted(err), console, debug=debug)
    except Exception as err:
        stop(_unforeseen(err), console, debug=debug)
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, former)


def stop(error: PortalignError, console: Console, *, debug: bool) -> NoReturn:
    """Print an error and end with exit code 2."""
    if debug:
        trace = traceback.format_exception(error)
        console.print(Text("".join(trace)), soft_wrap=True)
    console.print(Text(f"portalign: {error}"), soft_wrap=True)
    raise SystemExit(2)


def _interrupted(cause: KeyboardInterrupt) -> PortalignError:
    error = PortalignError(
        "interrupted",
        why="the step did not end; results of earlier runs are as they were",
        do="run the step again",
    )
    error.__cause__ = cause
    return error


def _unforeseen(cause: Exception) -> PortalignError:
    at = traceback.extract_tb(cause.__traceback__)[-1]
    error = PortalignError(
        f"{type(cause).__name__}: {cause} ({at.filename}, line {at.lineno})",
        why="portalign did not foresee this, so nothing can be concluded",
        do="run again with --debug, and report what it prints",
    )
    error.__cause__ = cause
    return error


def _said(beat: Beat) -> str:
    state = "" if beat.is_running else "done, "
    return f"{beat.role.value} {state}{beat.seconds:.0f} s, {beat.captured_bytes / 2**20:.0f} MB"
