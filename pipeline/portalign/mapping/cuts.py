"""Losses that a kernel cut off, and which of both values is compared.

Paddle's softmax and cross entropy on a CPU take no exponent below -64 under the greatest: a loss
stops at 64 there, and its gradient is right all the same. Such a side records beside its loss what
it is without the cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from portalign.records import Array, Kind, Precision, TensorKey, TensorRecord, Trace


def without_cuts(reference: Trace, candidate: Trace) -> tuple[Trace, Trace]:
    """Take a loss without the cut where only its own side has made one, and where that brings both
    sides nearer to each other; leave it elsewhere. What was recorded beside the losses goes.

    Each precision is settled by the best one of its iteration: a loss and its twin go together.
    """
    sides = [{r.key: r for r in trace.records if _is_loss(r)} for trace in (reference, candidate)]
    if not any(key.kind is Kind.UNCUT for side in sides for key in side):
        return reference, candidate
    chosen = [_chosen(*sides), _chosen(*reversed(sides))]
    ours, theirs = (
        replace(trace, records=tuple(_taken(r, side, keys) for r in _others(trace)))
        for trace, side, keys in zip((reference, candidate), sides, chosen, strict=True)
    )
    return ours, theirs


def _is_loss(record: TensorRecord) -> bool:
    return record.key.kind in (Kind.LOSS, Kind.UNCUT)


def _others(trace: Trace) -> list[TensorRecord]:
    return [record for record in trace.records if record.key.kind is not Kind.UNCUT]


def _chosen(
    side: Mapping[TensorKey, TensorRecord], other: Mapping[TensorKey, TensorRecord]
) -> set[tuple[str, int]]:
    """Loss and iteration where this side's value without its cut is the one to take."""
    found: dict[tuple[str, int], bool] = {}
    for key in sorted(side, key=lambda key: list(Precision).index(key.precision)):
        beside = replace(key, kind=Kind.UNCUT)
        if key.kind is Kind.LOSS and beside in side and key in other and beside not in other:
            cut, uncut, wanted = (r.array for r in (side[key], side[beside], other[key]))
            found[key.path, key.iteration] = _distance(uncut, wanted) < _distance(cut, wanted)
    return {place for place, is_nearer in found.items() if is_nearer}


def _taken(
    record: TensorRecord, side: Mapping[TensorKey, TensorRecord], chosen: set[tuple[str, int]]
) -> TensorRecord:
    key = record.key
    beside = side.get(replace(key, kind=Kind.UNCUT))
    is_chosen = key.kind is Kind.LOSS and (key.path, key.iteration) in chosen
    return replace(record, array=beside.array) if beside is not None and is_chosen else record


def _distance(one: Array, other: Array) -> float:
    return abs(float(one) - float(other))
