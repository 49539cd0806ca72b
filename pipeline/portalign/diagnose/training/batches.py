"""Batches of the candidate's own that are the reference's in another order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from portalign.compare.chain import Link
from portalign.findings import Finding, FindingKind, Part
from portalign.records import Array

_TOLD = 3  # batches that are named
_Batches = Mapping[tuple[int, int], Mapping[str, Array]]  # by iteration and call: field -> values


def explain_batches(links: Sequence[Link], label: str) -> dict[str, Finding]:
    """The finding on the order of batches, or none.

    Args:
        label: of the place where data are at fault; "" where they aren't.
    """
    ours, theirs = _batches(links)
    if not label or not theirs:
        return {}
    found = {}
    for at, batch in theirs.items():
        same = [other for other in ours if _are_equal(ours[other], batch)]
        if not same:
            return {}
        found[at] = at if at in same else same[0]
    order = {at: position for position, at in enumerate(sorted(ours))}
    moved = {order[at]: order[other] for at, other in found.items() if at != other}
    told = ", ".join(f"{at} is {other}" for at, other in list(moved.items())[:_TOLD])
    more = f" and {len(moved) - _TOLD} more" if len(moved) > _TOLD else ""
    return {
        label: Finding(
            "batch-order",
            FindingKind.CAUSE,
            (label,),
            "the candidate's batches are the reference's in another order: counted from 0, its "
            f"{told} of the reference's{more}",
            f"all {len(theirs)} batches of the candidate are batches of the reference, byte for "
            "byte",
            "read the data in the reference's order: the same seed of the sampler, or none",
            {"moved batches": float(len(moved))},
            1.0,
            0.0,
            is_confirmed=True,
        )
    }


def _batches(links: Sequence[Link]) -> tuple[_Batches, _Batches]:
    ours: dict[tuple[int, int], dict[str, Array]] = {}
    theirs: dict[tuple[int, int], dict[str, Array]] = {}
    for link in links:
        if link.part is Part.DATA and link.pair is not None:
            at = link.iteration, link.pair.reference.key.call
            ours.setdefault(at, {})[link.owner] = link.pair.reference.array
            theirs.setdefault(at, {})[link.owner] = link.pair.candidate.array
    return ours, theirs


def _are_equal(one: Mapping[str, Array], other: Mapping[str, Array]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[name], other[name]) for name in one
    )
