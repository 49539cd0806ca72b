"""Which candidate tensor each reference tensor is: the rules, in order, and where each may stop.

A wrong pairing is worse than none, so every rule needs a reason that could not fit another pair:
the porter's own renames, the name, its synonyms, the structure around it. What stays open becomes
one `MappingError` that lists it all, with the lines to add to the port file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import final

from portalign.mapping._complaints import Problems
from portalign.mapping._items import Item, count_anew, items_of
from portalign.mapping._orders import layouts_said, renamed
from portalign.mapping._packing import cut_packed
from portalign.mapping._plan import Match, plan_of
from portalign.mapping._stacks import match_stacks, rivals_of_stacks, slices
from portalign.mapping._stems import match_structure, rivals
from portalign.mapping._synonyms import contradict, is_standard_role
from portalign.mapping.axes import Decision, decide
from portalign.mapping.said import Said
from portalign.mapping.weights import AuditLine, Carry, Fate, WeightPlan
from portalign.records import Role, Structure

__all__ = ["AuditLine", "Carry", "Fate", "WeightPlan", "match_state"]


def match_state(
    reference: Structure,
    candidate: Structure,
    *,
    rename: Sequence[Sequence[str]] = (),
    layout: Mapping[str, str] | None = None,
    is_carried: bool = True,
) -> WeightPlan:
    """Map every parameter and buffer of the reference to the candidate's.

    Args:
        rename: pairs of regex and replacement; a reference name that the regex matches fully is the
            candidate's tensor of the replaced name. The first that matches counts. "name:part" is
            a part of a tensor that `layout` says is packed.
        layout: name, or regex of whole names, of either side -> what `said` understands, where
            types and names can't tell.
        is_carried: False where each side brings its own weights: nothing is copied, and what has no
            certain counterpart is left out of the plan instead of being an error.

    Raises:
        MappingError: something has no place, several places, the wrong shape, or an open layout;
            the message lists all of it.
    """
    said = layouts_said(reference, candidate, layout or {})
    left, right = count_anew(items_of(reference), items_of(candidate))
    search = _Search(said=said, same_framework=reference.framework == candidate.framework)
    search.open(left, right)
    search.cut_packed(only_said=True)
    for name, target in renamed(*search.names(), rename).items():
        search.accept(*search.named(name, target), "the port file renames it")
    _by_names(search)
    search.cut_packed(only_said=False)
    _by_names(search)
    _by_owner(search)
    _by_stacks(search, needs_name=True)
    while found := match_structure(search.open_left(), search.open_right(), fits=search.fits):
        for ours, theirs, why in found:
            search.accept(ours, theirs, why)
        _by_owner(search)
    _by_stacks(search, needs_name=False)
    if not is_carried:
        return _only_compared(reference, candidate, search)
    return plan_of(reference, candidate, search.matches, _problems(search))


def _only_compared(reference: Structure, candidate: Structure, search: _Search) -> WeightPlan:
    """The plan of what can be compared, with a line for each tensor that has no counterpart."""
    certain = [match for match in search.matches if match.decision.layout is not None]
    doubtful = [match for match in search.matches if match.decision.layout is None]
    plan = plan_of(reference, candidate, certain, Problems((), {}, (), ()))
    sides = (
        (Role.REFERENCE, [*search.open_left(), *(match.reference for match in doubtful)]),
        (Role.CANDIDATE, [*search.open_right(), *(match.candidate for match in doubtful)]),
    )
    alone = [
        AuditLine(
            Fate.UNUSED,
            (item.name,) if role is Role.REFERENCE else (),
            (item.name,) if role is Role.CANDIDATE else (),
            f"{role.value} {item.name}: no certain counterpart; each side brings its own weights",
        )
        for role, items in sides
        for item in items
    ]
    entries = tuple(replace(entry, is_copied=False) for entry in plan.entries)
    return WeightPlan(entries, (*plan.audit, *alone))


@final
@dataclass(slots=True)
class _Search:
    """The state of one search: what is still open on either side, what was matched and why."""

    said: tuple[Mapping[str, Said], Mapping[str, Said]]
    same_framework: bool
    left: dict[str, Item] = field(default_factory=dict)
    right: dict[str, Item] = field(default_factory=dict)
    matches: list[Match] = field(default_factory=list)
    misfits: list[str] = field(default_factory=list)

    def open(self, left: Iterable[Item], right: Iterable[Item]) -> None:
        """Set what is to be matched."""
        self.left = {item.key: item for item in left}
        self.right = {item.key: item for item in right}

    def cut_packed(self, *, only_said: bool) -> None:
        """Replace packed tensors that are still open by their parts."""
        left, right = list(self.left.values()), list(self.right.values())
        self.open(
            cut_packed(left, right, self.said[0], only_said=only_said),
            cut_packed(right, left, self.said[1], only_said=only_said),
        )

    def names(self) -> tuple[list[str], list[str]]:
        """What a rename may lead from and to: open tensors, and slices of what is said stacked."""
        found = []
        for side, said in zip((self.left, self.right), self.said, strict=True):
            stacks = [item for item in side.values() if said.get(item.name, Said()).is_stacked]
            found.append([*side, *(part.key for stack in stacks for part in slices(stack))])
        left, right = found
        return left, right

    def named(self, ours: str, theirs: str) -> tuple[Item, Item]:
        """The items of those names; a stack of which a slice is named is cut."""
        for name, side in ((ours, self.left), (theirs, self.right)):
            whole = name.rpartition(":")[0]
            if name not in side and whole in side:
                side.update({part.key: part for part in slices(side.pop(whole))})
        return self.left[ours], self.right[theirs]

    def decision(self, ours: Item, theirs: Item) -> Decision:
        """The layout between two items."""
        said = self.said[0].get(ours.name), self.said[1].get(theirs.name)
        forced = next((each.order for each in said if each and each.order), None)
        same = self.same_framework
        return decide(ours.leaf, theirs.leaf, same_framework=same, forced=forced)

    def fits(self, ours: Item, theirs: Item) -> bool:
        """Whether some layout makes their shapes agree."""
        decision = self.decision(ours, theirs)
        return decision.layout is not None or decision.is_open

    def accept(self, ours: Item, theirs: Item, why: str) -> None:
        """Match two items; a misfit of promised ones is a problem, of others no match."""
        decision = self.decision(ours, theirs)
        if decision.layout is None and not decision.is_open:
            if not (ours.is_promised and theirs.is_promised):
                return
            self.misfits.append(f"{ours} -> {theirs}: {decision.reason}")
        self.matches.append(Match(ours, theirs, decision, why))
        del self.left[ours.key], self.right[theirs.key]

    def open_left(self) -> list[Item]:
        """Unmatched reference items whose tensor isn't matched under another name either."""
        roots = {match.reference.root for match in self.matches if not match.reference.part}
        return [i for i in self.left.values() if i.root not in roots and i.is_promised]

    def open_right(self) -> list[Item]:
        """Likewise, of the candidate."""
        roots = {match.candidate.root for match in self.matches if not match.candidate.part}
        return [i for i in self.right.values() if i.root not in roots and i.is_promised]


def _by_names(search: _Search) -> None:
    """Match equal names: exactly, then in canonical tokens, then without scaffolding."""
    _by_key(search, lambda item: (item.name, item.part, item.tokens), "same name")
    _by_key(search, lambda item: item.tokens, "same name in other words")
    _by_key(search, lambda item: item.loose, "same name in other words, wrappers left out")


def _by_key(search: _Search, key: Callable[[Item], object], why: str) -> None:
    left, right = _unique(search.left.values(), key), _unique(search.right.values(), key)
    for value, ours in left.items():
        theirs = right.get(value)
        if theirs is None or contradict(ours.tokens, theirs.tokens):
            continue
        is_ranked = ours.raw != theirs.raw and (ours.raw, theirs.raw) != (
            ours.tokens,
            theirs.tokens,
        )
        order = "order in a container whose indices differ"
        search.accept(ours, theirs, order if is_ranked else why)


def _unique(items: Iterable[Item], key: Callable[[Item], object]) -> dict[object, Item]:
    """Items by key where the key names one tensor only; the first name of tied ones."""
    found: dict[object, list[Item]] = defaultdict(list)
    for item in items:
        found[key(item)].append(item)
    return {
        value: same[0]
        for value, same in found.items()
        if len({(item.root, item.part) for item in same}) == 1
    }


def _by_owner(search: _Search) -> None:
    """Match what is left of two modules that are each other's only partner."""
    partners: dict[str, set[str]] = defaultdict(set)
    backwards: dict[str, set[str]] = defaultdict(set)
    for match in search.matches:
        partners[match.reference.owner].add(match.candidate.owner)
        backwards[match.candidate.owner].add(match.reference.owner)
    still_open: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in search.open_right():
        still_open[item.owner, item.role].append(item)
    for ours in search.open_left():
        if len(partners[ours.owner]) != 1 or not is_standard_role(ours.role):
            continue
        (owner,) = partners[ours.owner]
        same = still_open[owner, ours.role]
        if len(same) == 1 and len(backwards[owner]) == 1:
            search.accept(ours, same.pop(), "same role in a module matched by its other tensors")


def _by_stacks(search: _Search, *, needs_name: bool) -> None:
    """Match layers with the slices of one tensor, whichever side has it."""
    for layered, others, is_ours in (
        (search.open_left(), search.open_right(), True),
        (search.open_right(), search.open_left(), False),
    ):
        fits = search.fits if is_ours else lambda theirs, ours: search.fits(ours, theirs)
        for layers, parts, why in match_stacks(layered, others, fits=fits, needs_name=needs_name):
            side = search.right if is_ours else search.left
            side.pop(parts[0].name)
            side.update({part.key: part for part in parts})
            for item, part in zip(layers.items, parts, strict=True):
                search.accept(*((item, part) if is_ours else (part, item)), why)


def _problems(search: _Search) -> Problems:
    left, right = search.open_left(), search.open_right()
    ambiguous = {}
    for item in left:
        if others := rivals(item, right, fits=search.fits):
            ambiguous[item] = others
    named = {id(other) for others in ambiguous.values() for other in others}
    return Problems(
        misfits=tuple(search.misfits),
        ambiguous=ambiguous,
        missing=tuple(item for item in left if item not in ambiguous),
        unfilled=tuple(item for item in right if id(item) not in named),
        stacks=(
            rivals_of_stacks(right, left, fits=lambda theirs, ours: search.fits(ours, theirs)),
            rivals_of_stacks(left, right, fits=search.fits),
        ),
    )
