"""A side of a step as one trace: the state it began with, then what its run recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from portalign.errors import TraceError
from portalign.records import Role, TensorRecord, Trace
from portalign.store.layout import WEIGHTS
from portalign.store.reader import read_trace


def read_side(folder: Path, role: Role, *, run: str = "") -> Trace:
    """Read a side's records, its initial state first.

    Args:
        folder: of the step.
        run: folder in it, of another run than the step's own.

    Raises:
        TraceError: a trace is missing, broken or incomplete.
    """
    trace = _whole(folder / run / role.value)
    weights = folder / WEIGHTS / role.value
    if not weights.is_dir():
        return trace
    state = _whole(weights).records
    later = (_shifted(record, len(state)) for record in trace.records)
    return replace(trace, records=(*state, *later))


def _whole(folder: Path) -> Trace:
    trace = read_trace(folder)
    if not trace.is_complete or trace.info is None:
        raise TraceError(
            f"{trace.folder} has no manifest: its capture did not end well",
            why="an incomplete trace can't show that everything agrees",
            do="run the step again",
        )
    return trace


def _shifted(record: TensorRecord, n_before: int) -> TensorRecord:
    alias = None if record.alias_of is None else record.alias_of + n_before
    return replace(record, order=record.order + n_before, alias_of=alias)
