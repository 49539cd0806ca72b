"""A document in the reader's language: its sentences and headings, never its names."""

from __future__ import annotations

from dataclasses import replace

from portalign.report.document import Document, Row, Table
from portalign.report.words import Say, english


def spoken(document: Document, say: Say) -> Document:
    """The document with every sentence put into another language; names stay."""
    if say is english:
        return document
    return replace(
        document,
        word=say(document.word),
        headline=say(document.headline),
        reason=_after_name(document.reason, say),
        table=_table(document.table, say) if document.table else None,
        reservations=tuple(_after_name(line, say) for line in document.reservations),
        remarks=tuple(say(line) for line in document.remarks),
        causes=tuple(said(line, say) for line in document.causes),
        trained=tuple(say(line) for line in document.trained),
        probed=tuple(said(line, say) for line in document.probed),
    )


def said(line: str, say: Say) -> str:
    """A line in another language, with the indent it has."""
    text = line.lstrip(" ")
    return line[: len(line) - len(text)] + say(text)


def _after_name(line: str, say: Say) -> str:
    """A line "name: sentence" with its sentence said; names may hold the separator too."""
    at = line.find(": ")
    while at >= 0:
        name, sentence = line[:at], line[at + 2 :]
        if (other := say(sentence)) != sentence:
            return f"{name}: {other}"
        at = line.find(": ", at + 1)
    return line


def _table(table: Table, say: Say) -> Table:
    """Headings and all cells but the first of a row, which holds a name."""
    columns = tuple(replace(column, name=say(column.name)) for column in table.columns)
    rows = tuple(
        Row(row.outcome, (row.cells[0], *(say(cell) for cell in row.cells[1:])))
        for row in table.rows
    )
    return Table(columns, rows, say(table.rest))
