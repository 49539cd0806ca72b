"""A list of layers on one side, one module that is called for each of them on the other.

The weights tell: slices of one tensor, or one tensor that all layers share. The layers are then
looked at as one module whose calls are theirs, in the order in which they ran.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import final

from portalign.mapping.weights import Carry, WeightPlan
from portalign.records import Kind, Structure, TensorRecord

_Call = tuple[str, int, int]  # path, call, iteration


@final
@dataclass(frozen=True, slots=True)
class Fold:
    """Which modules of one side count as calls of another one.

    Attributes:
        paths: path -> path it is looked at as: "layers.2.fc" -> "layers.0.fc".
        names: likewise of the tensors they hold.
    """

    paths: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def structure(self, whole: Structure) -> Structure:
        """The structure without what is looked at as something else."""
        return replace(
            whole,
            modules=tuple(m for m in whole.modules if self.paths.get(m.path, m.path) == m.path),
            state=tuple(s for s in whole.state if self.names.get(s.name, s.name) == s.name),
        )

    def calls(self, records: Iterable[TensorRecord]) -> dict[_Call, tuple[str, int]]:
        """(path, call, iteration) -> the path and call that it is looked at as; of folded ones."""
        folded = {first for path, first in self.paths.items() if path != first}
        order: dict[tuple[str, int], list[_Call]] = defaultdict(list)
        for record in records:  # in the order in which they ran
            key = record.key
            place = (key.path, key.call, key.iteration)
            seen = order[self.paths.get(key.path, key.path), key.iteration]
            if key.kind is Kind.ACTIVATION and place not in seen:
                seen.append(place)
        return {
            place: (path, call)
            for (path, _), places in order.items()
            if path in folded
            for call, place in enumerate(places)
        }


def folds(
    reference: Structure, candidate: Structure, plan: WeightPlan
) -> tuple[Fold, Fold, WeightPlan]:
    """The folds of both sides, and the plan as it reads between folded structures."""
    sides = reference, candidate
    tied = _tied(reference), _tied(candidate)
    made = []
    for at, side in enumerate(sides):
        lists = {entry: _list_of(entry, at, tied) for entry in plan.entries}
        prefixes = {prefix for prefix in lists.values() if prefix is not None}
        made.append(_fold(side, [p for p in prefixes if _holds_nothing_else(side, p, at, lists)]))
    entries = (
        replace(
            entry,
            reference=tuple(dict.fromkeys(made[0].names.get(n, n) for n in entry.reference)),
            candidate=tuple(dict.fromkeys(made[1].names.get(n, n) for n in entry.candidate)),
        )
        for entry in plan.entries
    )
    return made[0], made[1], WeightPlan(tuple(entries), plan.audit)


def _tied(structure: Structure) -> dict[str, list[str]]:
    """Name a tensor is registered under first -> all of its names."""
    found: dict[str, list[str]] = defaultdict(list)
    for info in structure.state:
        found[info.tied_to or info.name].append(info.name)
    return found


def _list_of(entry: Carry, at: int, tied: Sequence[Mapping[str, Sequence[str]]]) -> str | None:
    """Path of the list whose layers hold what the other side has in one tensor; None if none does.

    Args:
        at: which side is asked for, 0 for the reference.
        tied: all names of every tensor, of both sides.
    """
    both = entry.reference, entry.candidate
    others = [name for root in both[1 - at] for name in tied[1 - at].get(root, (root,))]
    if len(others) != 1 or entry.outputs is not None:
        return None
    names = [name for root in both[at] for name in tied[at].get(root, (root,))]
    return _common_list(names)


def _common_list(names: Sequence[str]) -> str | None:
    """The list that such names are of; None where they differ in anything but its index.

    >>> _common_list(["layers.0.fc.weight", "layers.1.fc.weight"])
    'layers'
    """
    segments = [name.split(".") for name in names]
    if len(names) < 2 or len({len(each) for each in segments}) > 1:
        return None
    differ = [at for at, column in enumerate(zip(*segments, strict=True)) if len(set(column)) > 1]
    if len(differ) != 1:
        return None
    indices = [each[differ[0]] for each in segments]
    if indices != list(map(str, range(len(names)))):
        return None
    return ".".join(segments[0][: differ[0]])


def _holds_nothing_else(
    side: Structure, prefix: str, at: int, lists: Mapping[Carry, str | None]
) -> bool:
    """Whether all mapped tensors in the list's layers are stacked or shared alike."""
    inside = {info.tied_to or info.name for info in side.state if _indexed(prefix).match(info.name)}
    return all(
        found == prefix
        for entry, found in lists.items()
        if inside.intersection((entry.reference, entry.candidate)[at])
    )


def _indexed(prefix: str) -> re.Pattern[str]:
    """What lies in the layers of a list: the list, the layer's number, the rest."""
    inside = rf"{re.escape(prefix)}\." if prefix else ""
    return re.compile(rf"({inside})(\d+)((?:\..*)?)")


def _fold(side: Structure, prefixes: Sequence[str]) -> Fold:
    def first(name: str) -> str:
        for prefix in prefixes:
            if found := _indexed(prefix).fullmatch(name):
                return f"{found[1]}0{found[3]}"
        return name

    return Fold(
        {module.path: first(module.path) for module in side.modules},
        {info.name: first(info.name) for info in side.state},
    )
