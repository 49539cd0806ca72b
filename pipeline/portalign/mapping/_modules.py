"""Which module of the candidate is which of the reference, read off the weights they hold.

Modules that own the same mapped tensors are the same; so are wrappers around the same set; modules
without parameters are told by their place under a mapped parent and by name or kind.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from portalign.mapping._synonyms import canonical_all, contradict, loose
from portalign.mapping.weights import WeightPlan
from portalign.records import ModuleInfo, Structure

_CONTAINERS = frozenset(("ModuleList", "LayerList", "ModuleDict", "LayerDict", "ParameterList"))
# They return what they get when not training: only equal names tell which is which.
_SILENT = frozenset(("dropout", "identity", "alphadropout", "droppath"))
_Cover = frozenset[object]


@final
@dataclass(frozen=True, slots=True)
class _Side:
    """A side's modules in registration order, and which carries each holds, itself and in all."""

    types: Mapping[str, str]
    own: Mapping[str, _Cover]
    total: Mapping[str, _Cover]


def module_map(reference: Structure, candidate: Structure, plan: WeightPlan) -> dict[str, str]:
    """Reference module path -> candidate module path, for all that can be told apart.

    The roots always map to each other. A module that is missing here has no counterpart, or several
    that nothing distinguishes.
    """
    left = _side(reference, [entry.reference for entry in plan.entries], "reference")
    right = _side(candidate, [entry.candidate for entry in plan.entries], "candidate")
    found = {"": ""}
    _map_owners(left, right, found)
    _map_wrappers(left, right, found)
    queue = list(found.items())
    while queue:
        ours, theirs = queue.pop()
        taken = set(found.values())
        new = _map_bare(_bare(left, ours, set(found)), _bare(right, theirs, taken), ours, theirs)
        fresh = {a: b for a, b in new if a not in found and b not in taken}
        found.update(fresh)
        queue.extend(fresh.items())
    return {path: found[path] for path in left.types if path in found}


def owners(structure: Structure, names: Iterable[str]) -> frozenset[str]:
    """Paths of the modules that hold one of the named tensors themselves, under any tied name."""
    wanted = set(names)
    return frozenset(i.module for i in structure.state if (i.tied_to or i.name) in wanted)


def _side(structure: Structure, names: Sequence[Sequence[str]], role: str) -> _Side:
    place = {name: (i, at) for i, group in enumerate(names) for at, name in enumerate(group)}
    own: dict[str, set[tuple[int, int]]] = defaultdict(set)
    total: dict[str, set[tuple[int, int]]] = defaultdict(set)
    for info in structure.state:
        spot = place.get(info.tied_to or info.name)
        if spot is None:
            continue
        own[info.module].add(spot)
        for path in upwards(info.module):
            total[path].add(spot)
    sizes = [len(group) for group in names]
    return _Side(
        types={module.path: module.type for module in (ModuleInfo("", ""), *structure.modules)},
        own={path: _cover(spots, sizes, role) for path, spots in own.items()},
        total={path: _cover(spots, sizes, role) for path, spots in total.items()},
    )


def _cover(spots: set[tuple[int, int]], sizes: Sequence[int], role: str) -> _Cover:
    """Carries held as a whole, by number; one held in part equals nothing on the other side."""
    counts = Counter(index for index, _ in spots)
    return frozenset(
        index if counts[index] == sizes[index] else (role, index, at) for index, at in spots
    )


def upwards(path: str) -> list[str]:
    """A path, its parents, and the root."""
    parts = path.split(".") if path else []
    return [".".join(parts[:end]) for end in range(len(parts), -1, -1)]


def _by_cover(covers: Mapping[str, _Cover], paths: Iterable[str]) -> dict[_Cover, list[str]]:
    found: dict[_Cover, list[str]] = defaultdict(list)
    for path in paths:
        if path in covers:
            found[covers[path]].append(path)
    return found


def _map_owners(left: _Side, right: _Side, found: dict[str, str]) -> None:
    ours = _by_cover(left.own, (path for path in left.types if path))
    theirs = _by_cover(right.own, (path for path in right.types if path))
    for cover in ours.keys() & theirs.keys():
        if len(ours[cover]) == len(theirs[cover]) == 1:
            found[ours[cover][0]] = theirs[cover][0]
        else:  # tied: several modules hold the same tensors
            found.update(_same_names(ours[cover], theirs[cover]))


def _map_wrappers(left: _Side, right: _Side, found: dict[str, str]) -> None:
    """Modules around the same set of tensors: by name, then outermost to outermost."""
    for wants_container in (False, True):
        taken = set(found.values())
        ours = _by_cover(left.total, _wrappers(left, found, wants_container))
        theirs = _by_cover(right.total, _wrappers(right, taken, wants_container))
        for cover in ours.keys() & theirs.keys():
            found.update(_same_names(ours[cover], theirs[cover]))
            mine = [path for path in ours[cover] if path not in found]
            other = [path for path in theirs[cover] if path not in found.values()]
            if mine and other and _is_chain(ours[cover]) and _is_chain(theirs[cover]):
                found[mine[0]] = other[0]


def _wrappers(side: _Side, taken: Iterable[str], wants_container: bool) -> list[str]:
    used = set(taken)
    return [
        path
        for path, kind in side.types.items()
        if path and path not in used and (kind in _CONTAINERS) == wants_container
    ]


def _is_chain(paths: Sequence[str]) -> bool:
    """Whether each holds the next: registration order lists parents first."""
    return all(b.startswith(f"{a}.") for a, b in itertools.pairwise(paths))


def _same_names(ours: Sequence[str], theirs: Sequence[str]) -> dict[str, str]:
    """Equal paths first, then those that only one path of each side says in other words."""
    found = {path: path for path in ours if path in set(theirs)}
    left = _unique_names([path for path in ours if path not in found])
    right = _unique_names([path for path in theirs if path not in found])
    for tokens, path in left.items():
        if tokens in right and not contradict(_tokens(path), _tokens(right[tokens])):
            found[path] = right[tokens]
    return found


def _tokens(path: str) -> tuple[str, ...]:
    return canonical_all([f"{path}.weight"])[f"{path}.weight"][:-1]


def _unique_names(paths: Sequence[str]) -> dict[tuple[str, ...], str]:
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for path in paths:
        found[loose((*_tokens(path), ""))[:-1]].append(path)
    return {tokens: same[0] for tokens, same in found.items() if len(same) == 1}


def _bare(side: _Side, parent: str, mapped: set[str]) -> dict[str, str]:
    """Relative path -> kind of the modules without tensors right below a mapped parent.

    Modules that hold tensors but are not mapped are looked through.
    """
    found: dict[str, str] = {}
    inside = f"{parent}." if parent else ""
    for path, kind in side.types.items():
        is_bare = path and path not in mapped and path not in side.total
        if not is_bare or not path.startswith(inside):
            continue
        above = upwards(path)[1:]
        nearest = next(p for p in above if p in mapped)
        is_topmost = above[0] == nearest or above[0] in side.total
        if nearest == parent and is_topmost:
            found[path[len(inside) :]] = _kind(kind)
    return found


def _kind(module_type: str) -> str:
    """Kind of a module without parameters: "relu", "maxpool", "gelu"."""
    return re.sub(r"activation|\d+d|^new", "", module_type.lower())


def _map_bare(
    ours: Mapping[str, str], theirs: Mapping[str, str], parent: str, other_parent: str
) -> list[tuple[str, str]]:
    names = {
        a: b
        for a, b in _same_names([*ours], [*theirs]).items()
        if not _is_index(a) and (ours[a] not in _SILENT or _tokens(a) == _tokens(b))
    }
    pairs = list(names.items())
    left = [path for path in ours if path not in names]
    right = [path for path in theirs if path not in set(names.values())]
    for kind in sorted({ours[path] for path in left} - _SILENT):
        mine = [path for path in left if ours[path] == kind]
        other = [path for path in right if theirs[path] == kind]
        if len(mine) != len(other):
            continue
        if len(mine) == 1:
            is_denied = contradict(_tokens(mine[0]), _tokens(other[0]))
            pairs += [] if is_denied and not _is_index(mine[0]) else [(mine[0], other[0])]
        elif _is_numbered(mine) and _is_numbered(other):
            pairs += zip(sorted(mine, key=_numbers), sorted(other, key=_numbers), strict=True)
    return [(_join(parent, a), _join(other_parent, b)) for a, b in pairs]


def _is_index(path: str) -> bool:
    return path.rpartition(".")[2].isdigit()


def _numbers(path: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path)]


def _is_numbered(paths: Sequence[str]) -> bool:
    """Whether the paths differ in numbers only, so that numbers order them."""
    return len({re.sub(r"\d+", "#", path) for path in paths}) == 1 and len(
        {tuple(_numbers(path)) for path in paths}
    ) == len(paths)


def _join(parent: str, path: str) -> str:
    return f"{parent}.{path}" if parent else path
