"""Which activations, and gradients of activations, stand for the same point of two models.

Activations follow the module map, gradients the activations they belong to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

from portalign.mapping._folds import Fold, folds
from portalign.mapping._fused import Fused, fused_modules, pair_fused
from portalign.mapping._last_resort import pair_by_content
from portalign.mapping._modules import module_map, owners
from portalign.mapping._same_place import settle
from portalign.mapping._slots import ActivationPairs, all_of, pair_calls
from portalign.mapping.pairing import Pair, Records, label_of
from portalign.mapping.weights import WeightPlan
from portalign.records import Kind, Role, Structure, TensorKey, TensorRecord

_Place = tuple[Kind, str, int]  # kind, path, iteration
_Places = dict[_Place, dict[int, dict[str, TensorRecord]]]
_Gradients = Mapping[TensorKey, TensorRecord]


@final
@dataclass(frozen=True, slots=True)
class _Side:
    """What one side recorded, its layers folded where the other side has one module for all.

    Attributes:
        holders: modules that hold a mapped tensor themselves.
        places: by kind, path and iteration: call -> slot -> record.
        gradients: of activations that were recorded too; not in `places`.
    """

    structure: Structure
    holders: frozenset[str]
    places: _Places
    gradients: _Gradients


def pair_activations(
    reference: Sequence[TensorRecord],
    candidate: Sequence[TensorRecord],
    reference_structure: Structure,
    candidate_structure: Structure,
    plan: WeightPlan,
    twins: tuple[Records, Records],
) -> ActivationPairs:
    """Pair activations module by module, call by call, and then their gradients.

    What no rule pairs is paired by content at last, where that is certain.

    Args:
        twins: all records of both sides by key.
    """
    ours, theirs, plan = folds(reference_structure, candidate_structure, plan)
    names = [[*entry.reference] for entry in plan.entries], [[*e.candidate] for e in plan.entries]
    left = _side(reference, reference_structure, ours, names[0])
    right = _side(candidate, candidate_structure, theirs, names[1])
    modules = module_map(left.structure, right.structure, plan)
    found = ActivationPairs()
    for fused in fused_modules(left.structure, right.structure, plan):
        if modules.keys().isdisjoint(fused.reference):
            found.pairs += _pair_fused(fused, left.places, right.places)
    taken = {id(r) for p in found.pairs for r in (p.reference, p.candidate, *p.others)}
    _pair_modules(_without(left, taken), _without(right, taken), modules, found)
    settle(found.doubts, twins, found)
    _follow(found, left.gradients, right.gradients)
    inner = [[r for r in side if r.key.kind is Kind.ACTIVATION] for side in (reference, candidate)]
    forward = [pair for pair in found.pairs if pair.reference.key.kind is Kind.ACTIVATION]
    found.take(pair_by_content(inner[0], inner[1], forward, twins))
    return found


def _side(
    records: Sequence[TensorRecord], whole: Structure, fold: Fold, names: Iterable[Sequence[str]]
) -> _Side:
    structure = fold.structure(whole)
    activations = {r.key for r in records if r.key.kind is Kind.ACTIVATION}
    gradients = {
        r.key: r
        for r in records
        if r.key.kind is Kind.GRADIENT and replace(r.key, kind=Kind.ACTIVATION) in activations
    }
    calls = fold.calls(records)
    places: _Places = defaultdict(lambda: defaultdict(dict))
    for record in records:
        key = record.key
        if key not in gradients:
            place = key.path, key.call, key.iteration
            path, call = calls.get(place, place[:2])
            places[key.kind, path, key.iteration][call][key.slot] = record
    holders = owners(structure, (name for group in names for name in group))
    return _Side(structure, holders, places, gradients)


def _pair_modules(
    left: _Side, right: _Side, modules: Mapping[str, str], found: ActivationPairs
) -> None:
    """Pair what modules took and returned that are the same module."""
    reached: set[_Place] = set()
    for place, calls in left.places.items():
        kind, path, iteration = place
        other_path = modules.get(path)
        if other_path is None:
            found.alone(Role.REFERENCE, all_of(calls), "the candidate has no such module")
            continue
        other = (kind, other_path, iteration)
        reached.add(other)
        own = path in left.holders and other_path in right.holders
        pair_calls(calls, right.places.get(other, {}), own=own, found=found)
    for other, calls in right.places.items():
        if other not in reached:
            found.alone(Role.CANDIDATE, all_of(calls), "the reference recorded no such module")


def _pair_fused(fused: Fused, left: _Places, right: _Places) -> Iterator[Pair]:
    """Pair what modules of fused weights took and returned."""
    for kind, path, iteration in left:
        if kind is Kind.ACTIVATION and path == fused.reference[0]:
            ours = [left.get((kind, each, iteration), {}) for each in fused.reference]
            theirs = [right.get((kind, each, iteration), {}) for each in fused.candidate]
            yield from pair_fused(fused, ours, theirs)


def _without(side: _Side, taken: set[int]) -> _Side:
    """The side without the records of these ids."""
    places = {
        place: {
            call: {slot: record for slot, record in slots.items() if id(record) not in taken}
            for call, slots in calls.items()
        }
        for place, calls in side.places.items()
    }
    return replace(side, places=places)


def _follow(found: ActivationPairs, ours: _Gradients, theirs: _Gradients) -> None:
    """Pair the gradients of paired activations.

    Which gradients arrive tells nothing about which slot is which: paddle hands zeros to a state
    that nobody uses, where torch records none.
    """
    left, right = dict(ours), dict(theirs)
    for pair in tuple(found.pairs):
        gradients = pair.among(ours, theirs, kind=Kind.GRADIENT)
        if gradients is not None:
            found.pairs.append(replace(gradients, label=label_of(gradients.reference)))
            left.pop(gradients.reference.key, None)
            for record in (gradients.candidate, *gradients.others):
                right.pop(record.key, None)
    reason = "the other side recorded no gradient there"
    found.alone(Role.REFERENCE, [*left.values()], reason)
    found.alone(Role.CANDIDATE, [*right.values()], reason)
