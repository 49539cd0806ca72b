"""Matching by structure: what names alone can't settle.

Modules are grouped by stem - their path with indices replaced by a star - and two groups match
when their indices, shapes, roles and module families agree and no other group fits as well. A tie
is never broken by order: only indices order things.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from portalign.mapping._items import Item
from portalign.mapping._synonyms import contradict, loose, words

Fits = Callable[[Item, Item], bool]
Found = list[tuple[Item, Item, str]]


@final
@dataclass(frozen=True, slots=True)
class _Unit:
    """The unmatched tensors of one module, by role.

    Attributes:
        tokens: canonical tokens of the module's path.
        words: what names are scored by.
        sizes: number of elements by role.
    """

    tokens: tuple[str, ...]
    words: frozenset[str]
    items: dict[str, Item]
    sizes: tuple[tuple[str, int], ...]


@final
@dataclass(frozen=True, slots=True)
class _Group:
    """Units of one stem, sorted by index; one unit where no index is replaced."""

    stem: tuple[str, ...]
    units: tuple[_Unit, ...]
    indices: tuple[tuple[int, ...], ...]
    ranks: tuple[tuple[int, ...], ...]

    @property
    def words(self) -> frozenset[str]:
        """Words of its names; all units have the same but for numbers."""
        return self.units[0].words


def match_structure(reference: Sequence[Item], candidate: Sequence[Item], *, fits: Fits) -> Found:
    """Pairs of items that structure determines, with the reason.

    Args:
        reference: unmatched items of the reference; likewise for the candidate.
        fits: whether the shapes of two items agree under some layout.
    """
    found: Found = []
    left, right = _units(reference), _units(candidate)
    stars = max((_n_indices(unit) for unit in (*left, *right)), default=0)
    for needs_name in (True, False):
        for n_stars in range(stars, -1, -1):
            while pairs := _round(left, right, n_stars=n_stars, needs_name=needs_name, fits=fits):
                for ours, theirs, why in pairs:
                    found += [(item, theirs.items[role], why) for role, item in ours.items.items()]
                gone = {id(unit) for ours, theirs, _ in pairs for unit in (ours, theirs)}
                left = [unit for unit in left if id(unit) not in gone]
                right = [unit for unit in right if id(unit) not in gone]
    return found


def rivals(item: Item, candidate: Sequence[Item], *, fits: Fits) -> list[Item]:
    """Unmatched candidate items that could be meant by `item`, as far as anyone can tell."""
    return [other for other in candidate if _alike(item, other) and fits(item, other)]


def _alike(item: Item, other: Item) -> bool:
    is_raw = item.unit != item.owner and other.unit != other.owner
    is_same_role = is_raw or item.role == other.role
    return is_same_role and _same_family(item, other) and not contradict(item.tokens, other.tokens)


def _units(items: Sequence[Item]) -> list[_Unit]:
    by_unit: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        if item.is_promised and item.root == item.name:
            by_unit[item.unit].append(item)
    return [_unit(group) for group in by_unit.values()]


def _unit(items: Sequence[Item]) -> _Unit:
    first = items[0]
    is_raw = first.unit != first.owner  # a raw parameter: its own name is all there is
    tokens = first.tokens if is_raw else first.tokens[:-1]
    roles = {"" if is_raw else item.role: item for item in items}
    sizes = tuple(sorted((role, math.prod(item.leaf.shape)) for role, item in roles.items()))
    found = words((*tokens, *first.owner.split(".")))
    return _Unit(tokens, found, roles, sizes)


def _n_indices(unit: _Unit) -> int:
    return sum(token.isdigit() for token in unit.tokens)


def _grouped(units: Sequence[_Unit], n_stars: int) -> list[_Group]:
    stems: dict[tuple[str, ...], list[tuple[tuple[int, ...], _Unit]]] = defaultdict(list)
    for unit in units:
        stem: list[str] = []
        indices: list[int] = []
        for token in unit.tokens:
            is_index = token.isdigit() and len(indices) < n_stars
            stem.append("*" if is_index else token)
            indices += [int(token)] if is_index else []
        stems[tuple(stem)].append((tuple(indices), unit))
    groups = []
    for stem_tokens, members in stems.items():
        members.sort(key=lambda member: member[0])
        axes = [sorted(set(axis)) for axis in zip(*(at for at, _ in members), strict=True)]
        ranks = tuple(
            tuple(axis.index(i) for i, axis in zip(at, axes, strict=True)) for at, _ in members
        )
        if len(set(ranks)) == len(ranks):
            indices_in_order, units_in_order = zip(*members, strict=True)
            groups.append(_Group(stem_tokens, units_in_order, indices_in_order, ranks))
    return groups


def _round(
    left: Sequence[_Unit], right: Sequence[_Unit], *, n_stars: int, needs_name: bool, fits: Fits
) -> list[tuple[_Unit, _Unit, str]]:
    """One sweep: pairs of groups that are each other's only best."""
    ours, theirs = _grouped(left, n_stars), _grouped(right, n_stars)
    bins: dict[object, list[int]] = defaultdict(list)
    for index, group in enumerate(theirs):
        bins[_bin(group)].append(index)
    scores = {
        (a, b): _score(group, theirs[b])
        for a, group in enumerate(ours)
        for b in bins[_bin(group)]
        if _compatible(group, theirs[b], fits)
    }
    best_left = _only_best(scores, 0)
    best_right = _only_best(scores, 1)
    pairs = []
    for a, b in best_left.items():
        if best_right.get(b) == a and (scores[a, b] > 0 or not needs_name):
            why = _reason(ours[a], theirs[b], by_name=scores[a, b] > 0)
            pairs += [
                (mine, other, why)
                for mine, other in zip(ours[a].units, theirs[b].units, strict=True)
            ]
    return pairs


def _bin(group: _Group) -> object:
    """Groups of different bins can't match."""
    return group.ranks, tuple(unit.sizes for unit in group.units)


def _compatible(ours: _Group, theirs: _Group, fits: Fits) -> bool:
    if contradict(ours.stem, theirs.stem) or _clash(ours, theirs):
        return False
    return all(
        _same_family(item, other.items[role]) and fits(item, other.items[role])
        for unit, other in zip(ours.units, theirs.units, strict=True)
        for role, item in unit.items.items()
    )


def _clash(ours: _Group, theirs: _Group) -> bool:
    """Whether children of what is one container on both sides have other indices."""
    stars = [[at for at, token in enumerate(g.stem) if token == "*"] for g in (ours, theirs)]
    for axis, (a, b) in enumerate(zip(*stars, strict=False)):
        same_container = loose((*ours.stem[:a], "")) == loose((*theirs.stem[:b], ""))
        if same_container and any(
            x[axis] != y[axis] for x, y in zip(ours.indices, theirs.indices, strict=True)
        ):
            return True
    return False


def _same_family(item: Item, other: Item) -> bool:
    return not item.leaf.family or not other.leaf.family or item.leaf.family == other.leaf.family


def _score(ours: _Group, theirs: _Group) -> float:
    """Shared words; half a word more for equal names.

    Not a ratio: of two partners that share the same words the shorter name is no better evidence.
    """
    return len(ours.words & theirs.words) + 0.5 * (ours.words == theirs.words != frozenset())


def _only_best(scores: dict[tuple[int, int], float], side: int) -> dict[int, int]:
    """For each group of one side its strictly best partner, if there is one."""
    ranked: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for pair, score in scores.items():
        ranked[pair[side]].append((score, pair[1 - side]))
    best = {}
    for own, partners in ranked.items():
        partners.sort(reverse=True)
        if len(partners) == 1 or partners[0][0] > partners[1][0]:
            best[own] = partners[0][1]
    return best


def _reason(ours: _Group, theirs: _Group, *, by_name: bool) -> str:
    stems = f"{'.'.join(ours.stem) or '(root)'} ~ {'.'.join(theirs.stem) or '(root)'}"
    how = (
        "the best of its shape and kind by name"
        if by_name
        else "the only one of its shape and kind"
    )
    order = ", in order of index" if "*" in ours.stem else ""
    return f"structure: {stems} is {how}{order}"
