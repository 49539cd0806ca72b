"""Tensors that a float64 twin did not lift or does not have, and what a report says of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from portalign.mapping.pair import Pair, Pairing
from portalign.records import Kind, Precision, Role, TensorKey, Trace

_LIFTED = ("float64", "complex128")
# What both sides compute from lifted values; learning rates and metrics are doubles already.
_TWINNED = (
    Kind.ACTIVATION,
    Kind.OUTPUT,
    Kind.LOSS,
    Kind.GRADIENT,
    Kind.GRADIENT_NORM,
    Kind.PARAMETER,
    Kind.BUFFER,
)
_NAMED = 5  # tensors that a note names before it says "..."


def left_behind(pairing: Pairing) -> tuple[str, ...]:
    """One note per side and dtype; a tolerance judged these pairs, for their twins can't."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for pair in pairing.pairs:
        twin = pairing.twin(pair)
        if twin is None:
            continue
        for role, record in zip(Role, (twin.reference, twin.candidate), strict=True):
            if record.array.dtype.kind not in "iub" and record.array.dtype.name not in _LIFTED:
                found[role.value, record.array.dtype.name].append(pair.label)
    return tuple(_note(*group, labels) for group, labels in found.items())


def without_twin(pairing: Pairing, sides: Sequence[Trace]) -> tuple[str, ...]:
    """One note per side, of pairs that a tolerance judged because its twin recorded no counterpart.

    Nothing where neither side has float64 records: then a whole step goes without.

    Args:
        sides: the traces of reference and candidate.
    """
    lifted = [
        {r.key for r in trace.records if r.key.precision is Precision.FLOAT64} for trace in sides
    ]
    found: dict[str, list[str]] = defaultdict(list)
    for pair in pairing.pairs if any(lifted) else ():
        for role, keys, known in zip(Role, _keys(pair), lifted, strict=True):
            if not known.issuperset(keys):
                found[role.value].append(pair.label)
    return tuple(
        f"{_count(labels)} without a counterpart in the {role}'s twin, so a tolerance "
        f"judged: {_names(labels)}"
        for role, labels in found.items()
    )


def _keys(pair: Pair) -> tuple[set[TensorKey], set[TensorKey]]:
    """The keys that each side's twin should have: none for what is data."""
    key = pair.reference.key
    is_initial = key.kind in (Kind.PARAMETER, Kind.BUFFER) and key.iteration == 0
    if key.kind not in _TWINNED or is_initial:
        return set(), set()
    theirs = {record.key for record in (pair.candidate, *pair.others)}
    return {_float64(key)}, {_float64(each) for each in theirs}


def _float64(key: TensorKey) -> TensorKey:
    return replace(key, precision=Precision.FLOAT64)


def _note(role: str, dtype: str, labels: list[str]) -> str:
    return (
        f"{_count(labels)} stayed in {dtype} in the {role}'s twin, so a tolerance "
        f"judged: {_names(labels)}"
    )


def _count(labels: list[str]) -> str:
    return f"{len(labels)} tensor{'s' if len(labels) > 1 else ''}"


def _names(labels: list[str]) -> str:
    return ", ".join(labels[:_NAMED]) + (", ..." if len(labels) > _NAMED else "")
