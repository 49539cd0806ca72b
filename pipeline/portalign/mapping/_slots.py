"""Which inputs and outputs of two modules that stand for each other are the same, call by call.

Where slots or shapes leave room for doubt a record stays alone with the reason: a pair that isn't
one would show a difference that isn't there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

from portalign.mapping.layouts import AS_IS
from portalign.mapping.pairing import Pair, label_of
from portalign.records import Role, TensorRecord
from portalign.results import Unpaired

Slots = Mapping[str, TensorRecord]
Calls = Mapping[int, Slots]


@final
@dataclass(frozen=True, slots=True)
class Doubt:
    """Two records of the same place that have other shapes.

    Attributes:
        how: the rule that says they are of the same place.
        reason: why they can't be compared as they lie.
    """

    reference: TensorRecord
    candidate: TensorRecord
    how: str
    reason: str


@final
@dataclass(slots=True)
class ActivationPairs:
    """What is found, gathered while it is found."""

    pairs: list[Pair] = field(default_factory=list)
    unpaired: list[Unpaired] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)

    def pair(self, ours: TensorRecord, theirs: TensorRecord, how: str) -> None:
        """Pair two records that lie alike."""
        self.pairs.append(Pair(ours, theirs, AS_IS, how, label_of(ours)))

    def take(self, pairs: Sequence[Pair]) -> None:
        """Pair records that were left alone before."""
        taken = {(p.reference.key, Role.REFERENCE.value) for p in pairs}
        taken |= {(p.candidate.key, Role.CANDIDATE.value) for p in pairs}
        self.pairs += pairs
        self.unpaired = [one for one in self.unpaired if (one.key, one.role) not in taken]

    def alone(self, role: Role, records: Sequence[TensorRecord], reason: str) -> None:
        """List records that stand on one side only."""
        self.unpaired += [Unpaired(role.value, r.key, reason, is_promised=False) for r in records]


def pair_calls(ours: Calls, theirs: Calls, *, own: bool, found: ActivationPairs) -> None:
    if ours.keys() != theirs.keys():
        reason = f"called {len(ours)} times by the reference, {len(theirs)} by the candidate"
        found.alone(Role.REFERENCE, all_of(ours), reason)
        found.alone(Role.CANDIDATE, all_of(theirs), reason)
        return
    for call, slots in ours.items():
        for side in ("in", "out"):
            mine, other = (
                {name: r for name, r in s.items() if name.partition(".")[0] == side}
                for s in (slots, theirs[call])
            )
            _pair_slots(mine, other, own=own, found=found)


def _pair_slots(ours: Slots, theirs: Slots, *, own: bool, found: ActivationPairs) -> None:
    pairs = [(record, theirs[name]) for name, record in ours.items() if name in theirs]
    pairs = [(a, b) for a, b in pairs if _is_clear(a, ours, theirs) and _is_clear(b, theirs, ours)]
    taken = {id(record) for both in pairs for record in both}
    left = [record for record in ours.values() if id(record) not in taken]
    right = [record for record in theirs.values() if id(record) not in taken]
    if len(left) == len(right) == 1 and _is_positional(left[0]) != _is_positional(right[0]):
        pairs.append((left[0], right[0]))
        left, right = [], []
    for a, b in pairs:
        _judge_shapes(a, b, own=own, found=found)
    reason = "the other side's module has no such input or output"
    found.alone(Role.REFERENCE, left, reason)
    found.alone(Role.CANDIDATE, right, reason)


def _is_positional(record: TensorRecord) -> bool:
    return record.key.slot.partition(".")[2].split(".")[0].isdigit()


def _is_clear(record: TensorRecord, siblings: Slots, others: Slots) -> bool:
    """Whether an output's position means something: equally many, or the only one of its shape.

    One side may return the last hidden state where the other returns all of them, first one first.
    """
    if (
        len(siblings) <= len(others)
        or record.key.slot.startswith("in.")
        or not _is_positional(record)
    ):
        return True
    return sum(r.array.shape == record.array.shape for r in siblings.values()) == 1


def _judge_shapes(
    ours: TensorRecord, theirs: TensorRecord, *, own: bool, found: ActivationPairs
) -> None:
    shapes = ours.array.shape, theirs.array.shape
    if reason := _otherwise_held(ours, theirs):
        found.alone(Role.REFERENCE, [ours], reason)
        found.alone(Role.CANDIDATE, [theirs], reason)
        return
    how = "modules that own the same tensors" if own else "modules in the same place"
    is_other_size = math.prod(shapes[0]) != math.prod(shapes[1])
    if shapes[0] == shapes[1] or (own and is_other_size and ours.key.slot in ("in.0", "out.0")):
        found.pair(ours, theirs, how)
        return
    reason = (
        f"shapes {list(shapes[0])} and {list(shapes[1])} lie differently or aren't the same point"
    )
    found.doubts.append(Doubt(ours, theirs, how, reason))


def _otherwise_held(ours: TensorRecord, theirs: TensorRecord) -> str:
    """Why two tensors hold the same thing in two ways, so that no values can be compared; else "".

    A mask of bools against one of floats; positions held once against once for every row.
    """
    few, many = sorted((ours.array.shape, theirs.array.shape), key=math.prod)
    if ours.key.slot.startswith("in.") and _family(ours) != _family(theirs):
        return f"one side passes {ours.dtype}, the other {theirs.dtype}"
    row = tuple(itertools.dropwhile(lambda n: n == 1, few))  # without leading ones
    if row and few != many and many[len(many) - len(row) :] == row:
        return f"one side holds it once, the other for every row: {list(few)} and {list(many)}"
    return ""


def _family(record: TensorRecord) -> str:
    """Bool, integer, or any float (bfloat16 is a kind of its own to numpy)."""
    return {"b": "bool", "i": "integer", "u": "integer"}.get(record.array.dtype.kind, "float")


def all_of(calls: Mapping[int, Slots]) -> list[TensorRecord]:
    return [record for slots in calls.values() for record in slots.values()]
