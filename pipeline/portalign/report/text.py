"""A document on the terminal, by rich. Without a terminal the same text comes out without colour.

The console is passed in by the caller; names are printed as they are, never as rich markup.
"""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.segment import Segment, Segments
from rich.table import Table as RichTable
from rich.text import Text

from portalign.report.document import Document, Table
from portalign.report.words import Say, english
from portalign.results import Outcome

STYLES = {
    Outcome.PASS: "green",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.ERROR: "magenta",
    Outcome.FAIL: "bold red",
}
_WIDE = 110  # columns from which the whole table fits with names of usual length
_FILE = 150  # columns of a table that goes to a file or a pipe


def render(document: Document, console: Console, say: Say = english) -> None:
    """Print a document: verdict, reason, training, causes, probe, table, reservations, remarks,
    next.
    """
    style = STYLES[document.outcome]
    title = Text.assemble(f"{document.title}: ", (document.word, style))
    _say(console, title)
    _say(console, Text(document.headline))
    if document.reason:
        _say(console, Text(document.reason, style=style))
    for line in document.trained:
        _say(console, Text(line))
    for line in (*document.causes, *document.probed):
        _say(console, Text(line, style="bold" if not line.startswith(" ") else ""))
    if document.table is not None:
        _show(console, document.table)
        if document.table.rest:
            _say(console, Text(document.table.rest, style="dim"))
    for line in document.reservations:
        _say(console, Text(f"{say('reservation')}: {line}", style="yellow"))
    for line in document.remarks:
        _say(console, Text(line, style="dim"))
    if document.next_command:
        _say(console, Text.assemble(f"{say('next')}: ", (document.next_command, "bold")))


def _say(console: Console, text: Text) -> None:
    """Print one line; unbroken where no terminal shows it, so that it can be searched."""
    console.print(text, soft_wrap=not console.is_terminal, highlight=False)


def _show(console: Console, table: Table) -> None:
    """Print a table; in full width where no terminal sets one (rich would assume 80 columns)."""
    width = console.width if console.is_terminal else max(console.width, _FILE)
    grid = _grid(table, is_wide=width >= _WIDE)
    lines = console.render_lines(grid, console.options.update(width=width), pad=False)
    joined = [segment for line in lines for segment in (*line, Segment.line())]
    console.print(Segments(joined), crop=False, end="")


def _grid(table: Table, *, is_wide: bool) -> RichTable:
    grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    shown = [i for i, column in enumerate(table.columns) if is_wide or column.is_needed]
    for i in shown:
        column = table.columns[i]
        grid.add_column(
            column.name,
            justify="right" if column.is_number else "left",
            overflow="fold",
            no_wrap=column.is_number,
        )
    for row in table.rows:
        cells = [Text(row.cells[i]) for i in shown]
        cells[1].stylize(STYLES[row.outcome])
        grid.add_row(*cells)
    return grid
