"""A probe's two traces, read from disk: which rows there are, and which of them can be compared.

Rows are independent of each other in every model of sequences, so one in which the reference gives
NaN is left out and the others stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np

from portalign.records import Array, Kind, Role, TensorRecord, Trace
from portalign.store import read_trace
from portalign.store.layout import PROBE
from portalign.store.sides import read_side

MADE = (Kind.ACTIVATION, Kind.OUTPUT)
PADDED = ("the row padded on the left", "the row padded on the right")


@final
@dataclass(frozen=True, slots=True)
class ProbeRun:
    """Both sides' traces on the rows of a probe.

    Attributes:
        sides: reference and candidate, each side's initial state first.
        shown: bool [rows, places]; False where a mask hides a place.
        rows: numbers of the rows among those that were run.
        n_given: places of the given sequences.
        tried: the probe in words.
    """

    sides: tuple[Trace, Trace]
    shown: Array
    rows: tuple[int, ...]
    n_given: int
    tried: str

    @property
    def is_padded(self) -> bool:
        """A mask hides something."""
        return not self.shown.all()


def read_run(folder: Path, inputs: str) -> tuple[ProbeRun | None, tuple[str, ...]]:
    """Read a step's probe; None where there is no row that can be compared, and notes.

    Args:
        folder: of the step.
        inputs: name of the folder of batches, in the step's and in the probe's.

    Raises:
        TraceError: a trace is missing, broken or incomplete.
    """
    made, given = read_trace(folder / PROBE / inputs), read_trace(folder / inputs)
    fields = {r.key.path: r.array for r in made.records if not r.key.iteration}
    shown = np.asarray(next(r.array for r in made.records if r.key.iteration))
    tried, *refused = made.info.notes if made.info else ("",)
    lengths = [
        record.array.shape[1]
        for record in given.records
        if not record.key.iteration
        and record.array.ndim > 1
        and record.key.path in fields
        and fields[record.key.path].shape[:2] == shown.shape
    ]
    sides = tuple(read_side(folder, role, run=PROBE) for role in Role)
    notes = [f"a probe of {each} made the reference raise" for each in refused]
    every = tuple(range(len(shown)))
    rows = tuple(row for row in every if not _is_nan(sides[0], row, len(shown)))
    if rows != every:
        named = [name for row, name in enumerate(PADDED[: len(shown)]) if row not in rows]
        where = " and ".join(named) if len(shown) > 1 else "it"
        notes.append(
            f"of a probe of {tried} the reference gives NaN in {where}: nothing is told there"
        )
    if not rows:
        return None, tuple(notes)
    run = ProbeRun((sides[0], sides[1]), shown, every, max(lengths, default=0), tried)
    return only_rows(run, rows), tuple(notes)


def only_rows(run: ProbeRun, rows: Sequence[int]) -> ProbeRun:
    """The run without its other rows."""
    if tuple(rows) == run.rows:
        return run
    kept = [run.rows.index(row) for row in rows]
    n_rows = len(run.rows)

    def cut(record: TensorRecord) -> TensorRecord:
        array = record.array
        is_of_rows = record.key.kind in MADE and array.ndim > 1 and len(array) == n_rows
        return replace(record, array=array[kept]) if is_of_rows else record

    sides = [replace(side, records=tuple(map(cut, side.records))) for side in run.sides]
    return replace(run, sides=(sides[0], sides[1]), shown=run.shown[kept], rows=tuple(rows))


def _is_nan(trace: Trace, row: int, n_rows: int) -> bool:
    arrays = (r.array for r in trace.records if r.key.kind is Kind.OUTPUT)
    with np.errstate(all="ignore"):
        return any(
            bool(np.isnan(np.asarray(array[row], np.float64)).any())
            for array in arrays
            if array.ndim and len(array) == n_rows and array.dtype.kind not in "iubc"
        )
