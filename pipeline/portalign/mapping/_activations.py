"""Which activations, and gradients of activations, stand for the same point of two models.

Activations follow the module map, gradients the activations they belong to. Where calls, slots or
shapes leave room for doubt a record stays alone with the reason: a pair that isn't one would show a
difference that isn't there.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import final

from portalign.mapping._modules import module_map, owners
from portalign.mapping.weights import WeightPlan
from portalign.records import Kind, Role, Structure, TensorKey, TensorRecord
from portalign.results import Unpaired

_Slots = dict[str, TensorRecord]
_Place = tuple[Kind, str, int]  # kind, path, iteration
_Calls = dict[int, _Slots]
_Gradients = dict[TensorKey, TensorRecord]


@final
@dataclass(slots=True)
class ActivationPairs:
    """What is found, gathered while it is found."""

    pairs: list[tuple[TensorRecord, TensorRecord, str]] = field(default_factory=list)
    unpaired: list[Unpaired] = field(default_factory=list)

    def alone(self, role: Role, records: Sequence[TensorRecord], reason: str) -> None:
        """List records that stand on one side only."""
        self.unpaired += [Unpaired(role.value, r.key, reason, is_promised=False) for r in records]


def pair_activations(
    reference: Sequence[TensorRecord],
    candidate: Sequence[TensorRecord],
    reference_structure: Structure,
    candidate_structure: Structure,
    plan: WeightPlan,
) -> ActivationPairs:
    """Pair activations module by module, call by call, and then their gradients."""
    modules = module_map(reference_structure, candidate_structure, plan)
    holders = (
        owners(reference_structure, (n for entry in plan.entries for n in entry.reference)),
        owners(candidate_structure, (n for entry in plan.entries for n in entry.candidate)),
    )
    followers = _followers(reference), _followers(candidate)
    left, right = (
        _by_place(record for record in side if record.key not in following)
        for side, following in zip((reference, candidate), followers, strict=True)
    )
    found = ActivationPairs()
    reached: set[_Place] = set()
    for place, calls in left.items():
        kind, path, iteration = place
        other_path = modules.get(path)
        if other_path is None:
            found.alone(Role.REFERENCE, _all(calls), "the candidate has no such module")
            continue
        other = (kind, other_path, iteration)
        reached.add(other)
        own = path in holders[0] and other_path in holders[1]
        _pair_calls(calls, right.get(other, {}), own=own, found=found)
    for other, calls in right.items():
        if other not in reached:
            found.alone(Role.CANDIDATE, _all(calls), "the reference recorded no such module")
    _follow(found, *followers)
    return found


def _followers(records: Sequence[TensorRecord]) -> _Gradients:
    """Gradients by key, of the places whose activation was recorded too."""
    places = {r.key for r in records if r.key.kind is Kind.ACTIVATION}
    gradients = (record for record in records if record.key.kind is Kind.GRADIENT)
    return {r.key: r for r in gradients if replace(r.key, kind=Kind.ACTIVATION) in places}


def _follow(found: ActivationPairs, ours: _Gradients, theirs: _Gradients) -> None:
    """Pair the gradients of paired activations.

    Which gradients arrive tells nothing about which slot is which: paddle hands zeros to a state
    that nobody uses, where torch records none.
    """
    left, right = dict(ours), dict(theirs)
    for a, b, how in tuple(found.pairs):
        places = [replace(record.key, kind=Kind.GRADIENT) for record in (a, b)]
        if places[0] in left and places[1] in right:
            found.pairs.append((left.pop(places[0]), right.pop(places[1]), how))
    reason = "the other side recorded no gradient there"
    found.alone(Role.REFERENCE, [*left.values()], reason)
    found.alone(Role.CANDIDATE, [*right.values()], reason)


def _by_place(records: Iterable[TensorRecord]) -> dict[_Place, _Calls]:
    found: dict[_Place, _Calls] = defaultdict(lambda: defaultdict(dict))
    for record in records:
        key = record.key
        found[key.kind, key.path, key.iteration][key.call][key.slot] = record
    return found


def _all(calls: Mapping[int, _Slots]) -> list[TensorRecord]:
    return [record for slots in calls.values() for record in slots.values()]


def _pair_calls(ours: _Calls, theirs: _Calls, *, own: bool, found: ActivationPairs) -> None:
    if ours.keys() != theirs.keys():
        reason = f"called {len(ours)} times by the reference, {len(theirs)} by the candidate"
        found.alone(Role.REFERENCE, _all(ours), reason)
        found.alone(Role.CANDIDATE, _all(theirs), reason)
        return
    for call, slots in ours.items():
        for side in ("in", "out"):
            mine, other = (
                {name: r for name, r in s.items() if name.partition(".")[0] == side}
                for s in (slots, theirs[call])
            )
            _pair_slots(mine, other, own=own, found=found)


def _pair_slots(ours: _Slots, theirs: _Slots, *, own: bool, found: ActivationPairs) -> None:
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


def _is_clear(record: TensorRecord, siblings: _Slots, others: _Slots) -> bool:
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
    is_main = ours.key.slot in ("in.0", "out.0") and sorted(shapes[0]) != sorted(shapes[1])
    if shapes[0] == shapes[1] or (own and is_main):
        how = "modules that own the same tensors" if own else "modules in the same place"
        found.pairs.append((ours, theirs, how))
        return
    reason = (
        f"shapes {list(shapes[0])} and {list(shapes[1])} lie differently or aren't the same point"
    )
    found.alone(Role.REFERENCE, [ours], reason)
    found.alone(Role.CANDIDATE, [theirs], reason)


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
