"""Pair by content what no rule paired: tensors equal up to rounding and layout, and the only ones.

Such a pair can only agree. It shows that everything up to it is right, and lets an origin be told
from what lies before. Whatever could be equal by accident stays alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import final

from portalign.mapping._content import relayout_between, values_of
from portalign.mapping._seen import SeenSide, SeenTensor, by_size
from portalign.mapping.pairing import BY_CONTENT, Pair, Records, label_of
from portalign.records import Kind, TensorRecord

_Both = tuple[SeenTensor, SeenTensor]


def pair_by_content(
    reference: Sequence[TensorRecord],
    candidate: Sequence[TensorRecord],
    pairs: Sequence[Pair],
    twins: tuple[Records, Records],
) -> list[Pair]:
    """Pairs of activations that nothing but their values tells, and of their gradients.

    Args:
        reference: all native activations of the reference, in the order in which they ran.
        candidate: the same of the candidate.
        pairs: of activations that rules have made.
        twins: all records of both sides by key.
    """
    sides = SeenSide(reference, twins[0]), SeenSide(candidate, twins[1])
    known = _Known(sides, pairs)
    lone = [by_size(t for t in side.tensors if not known.has(t) and t.values) for side in sides]
    found = []
    for size in lone[0].keys() & lone[1].keys():
        for ours, theirs in _only_ones(lone[0][size], lone[1][size]):
            if known.allows(ours, theirs) and (pair := _paired(ours, theirs)):
                found.append((ours, theirs, pair))
    kept = [pair for a, b, pair in found if _crosses_none(a, b, [(c, d) for c, d, _ in found])]
    gradients = (pair.among(*twins, kind=Kind.GRADIENT) for pair in kept)
    alike = [each for each in gradients if each is not None and _agree(each, twins)]
    return [*kept, *(replace(each, label=label_of(each.reference)) for each in alike)]


@final
class _Known:
    """What the rules' pairs say of further ones."""

    def __init__(self, sides: tuple[SeenSide, SeenSide], pairs: Sequence[Pair]) -> None:
        self._sides = sides
        self._partners: dict[int, set[int]] = defaultdict(set)
        self._met: list[_Both] = []
        for pair in pairs:
            ours = sides[0].of[id(pair.reference)]
            for record in (pair.candidate, *pair.others):
                theirs = sides[1].of[id(record)]
                self._partners[id(ours)].add(id(theirs))
                self._partners[id(theirs)].add(id(ours))
                self._met.append((ours, theirs))

    def has(self, tensor: SeenTensor) -> bool:
        """Whether some pair holds it, under any of its names."""
        return id(tensor) in self._partners

    def allows(self, ours: SeenTensor, theirs: SeenTensor) -> bool:
        """Whether a pair of two lone tensors of equal values could be more than an accident.

        Copies of paired tensors (a residual's) are none; the same values laid out anew are, if
        the tensors they come from are each other's partners. Nothing that ran before one of them
        may have run after the other.
        """
        left, right = (
            [t for t in side.by_size[own.size] if self.has(t) and t.is_like(own)]
            for side, own in zip(self._sides, (ours, theirs), strict=True)
        )
        for own, alike, others in ((ours, left, right), (theirs, right, left)):
            there = {id(tensor) for tensor in others}
            if any(t.bare_shape == own.bare_shape for t in alike):
                return False
            if any(not self._partners[id(t)] & there for t in alike):
                return False
        return _crosses_none(ours, theirs, self._met)


def _only_ones(ours: Sequence[SeenTensor], theirs: Sequence[SeenTensor]) -> list[_Both]:
    """Pairs of tensors that are like each other and like no other of either side."""
    found = []
    for tensor in ours:
        alike = [other for other in theirs if other.is_like(tensor)]
        twice = any(other is not tensor and other.is_like(tensor) for other in ours)
        if len(alike) == 1 and not twice:
            more = (t for t in theirs if t is not alike[0])
            if not any(t.is_like(alike[0]) for t in more):
                found.append((tensor, alike[0]))
    return found


def _paired(ours: SeenTensor, theirs: SeenTensor) -> Pair | None:
    """The pair under names that fit: what one module returned with what another one did."""
    if ours.values is None or theirs.values is None:
        return None
    way = relayout_between(ours.values, theirs.values)
    if way is None:
        return None
    names = [_by_door(tensor.records) for tensor in (ours, theirs)]
    doors = [door for door in ("out", "in") if all(door in found for found in names)]
    a, b = (
        (found[doors[0]] if doors else tensor.records[0])
        for found, tensor in zip(names, (ours, theirs), strict=True)
    )
    layout = way.layout()
    return Pair(a, b, layout, f"{BY_CONTENT} ({layout})", label_of(a))


def _by_door(records: Sequence[TensorRecord]) -> Mapping[str, TensorRecord]:
    """The first record of what was returned, and of what was taken."""
    found: dict[str, TensorRecord] = {}
    for record in records:
        found.setdefault(record.key.slot.partition(".")[0], record)
    return found


def _crosses_none(ours: SeenTensor, theirs: SeenTensor, others: Sequence[_Both]) -> bool:
    """Whether nothing that was there before one of them came after the other."""
    return not any(
        (a.seen < ours.since and theirs.seen < b.since)
        or (ours.seen < a.since and b.seen < theirs.since)
        for a, b in others
    )


def _agree(gradients: Pair, twins: tuple[Records, Records]) -> bool:
    """Whether gradients of an activation paired by content lie and are alike too.

    Equal values may be used by different modules of the two sides: their gradients then differ,
    and that is no fault.
    """
    ours = values_of(gradients.reference, twins[0])
    theirs = values_of(gradients.candidate, twins[1])
    if ours is None or theirs is None:
        return False
    way = relayout_between(ours, theirs)
    return way is not None and way.layout() == gradients.layout
