"""Tensors that a float64 twin did not lift, and what a report says of them."""

from __future__ import annotations

from collections import defaultdict

from portalign.mapping.pair import Pairing
from portalign.records import Role

_LIFTED = ("float64", "complex128")
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


def _note(role: str, dtype: str, labels: list[str]) -> str:
    many = "s" if len(labels) > 1 else ""
    more = ", ..." if len(labels) > _NAMED else ""
    return (
        f"{len(labels)} tensor{many} stayed in {dtype} in the {role}'s twin, so a tolerance "
        f"judged: {', '.join(labels[:_NAMED])}{more}"
    )
