"""While a step runs the terminal says what both sides do and what remains; a pipe gets one line."""

from __future__ import annotations

import io

from rich.console import Console

from portalign.processes import Beat
from portalign.records import Role, Step
from portalign.terminal import Progress


def shown(*, is_terminal: bool, later: tuple[Step, ...] = ()) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=is_terminal, width=120)
    with Progress(console, Step.METRIC, "bert", later) as progress:
        progress(Beat(Role.REFERENCE, 3.0, 5 * 2**20, True))
        progress(Beat(Role.CANDIDATE, 2.0, 2**20, False))
        console.print(progress._status.status)
    return stream.getvalue()


def test_a_terminal_shows_both_sides_and_the_steps_that_remain() -> None:
    text = shown(is_terminal=True, later=(Step.LR_SCHEDULER, Step.BACKWARD))

    assert "bert metric: reference 3 s, 5 MB, candidate done, 2 s, 1 MB" in text
    assert "; then lr_scheduler, backward" in text


def test_the_last_step_has_nothing_after_it() -> None:
    assert "then" not in shown(is_terminal=True)


def test_a_pipe_gets_one_line_a_step() -> None:
    text = shown(is_terminal=False)

    assert text.startswith("bert metric: capturing both sides\n")
