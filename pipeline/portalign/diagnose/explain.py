"""Find the simplest member of a family that makes what a side made, for each side by itself.

The reference is searched from nothing, the candidate from where the reference was found, for a port
is mostly right. Where the two stand at different members, the knobs that differ are the causes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import final

from portalign.diagnose.confirm import Cause, Proposal, needed
from portalign.diagnose.evidence import Site
from portalign.diagnose.family import Chosen, Family, Knob, Reading, Turned, computed
from portalign.diagnose.space import Budget, Space

DEPTH = 2  # knobs turned at once; pairs of causes at one place are tried, triples take too long
BEAM = 6  # members beside which another knob is turned
TRIED = 2  # like places at which a family may fail before it is no longer searched there
SPENT = "search stopped at its budget"


@final
@dataclass(slots=True)
class Seen:
    """Members found at earlier places, tried first: a cause mostly shows in every layer alike.

    And places where a family explained nothing, with the numbers in their names left out: it isn't
    searched in every layer, only tried with the members that are known by then.
    """

    members: dict[str, list[tuple[Chosen, Chosen]]] = field(default_factory=dict)
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    budget: Budget = field(default_factory=Budget)

    def add(self, family: str, reference: Chosen, candidate: Chosen) -> None:
        """Remember a pair of members, the latest first."""
        known = self.members.setdefault(family, [])
        pair = (dict(reference), dict(candidate))
        if pair in known:
            known.remove(pair)
        known.insert(0, pair)


@final
@dataclass(frozen=True, slots=True)
class Explained:
    """Both sides of a place as members of one family."""

    family: Family
    readings: tuple[Reading, Reading]
    reference: Chosen
    candidate: Chosen


def explanations(
    site: Site, family: Family, knobs: Sequence[Knob], seen: Seen
) -> Iterator[Explained]:
    """Every reading of the site under which both sides are members of the family."""
    good = needed(site)
    known = list(seen.members.get(family.name, []))
    place = family.name, re.sub(r"\d+", "#", site.origin.label)
    is_found = False
    for ours, theirs in family.readings(site):
        spaces = [
            Space(family, knobs, reading, good=good, budget=seen.budget)
            for reading in (ours, theirs)
        ]
        for reference, candidate in known:
            if spaces[0].off(reference) <= good and spaces[1].off(candidate) <= good:
                yield Explained(family, (ours, theirs), reference, candidate)
                return
        if seen.failures[place] >= TRIED:
            continue
        if both := _both(spaces[0], spaces[1], [reference for reference, _ in known]):
            is_found = True
            seen.add(family.name, *both)
            yield Explained(family, (ours, theirs), *both)
    seen.failures[place] += not is_found


def _both(
    reference: Space, candidate: Space, starts: Sequence[Chosen]
) -> tuple[Chosen, Chosen] | None:
    """Both sides' members: the reference's from nothing and the candidate's from there, or the
    other way round, for the reference can be the odd one.
    """
    first = _from_nothing(reference, starts)
    if first is not None:
        second = _nearest(candidate, first)
        return None if second is None else (first, second)
    other = None if reference.is_rare else _from_nothing(candidate, [])
    if other is None:
        return None
    first = _nearest(reference, other)
    return None if first is None else (first, other)


def proposal(site: Site, found: Explained, knobs: Sequence[Knob]) -> Proposal | None:
    """The differing knobs as causes; None if none differs."""
    ours, theirs = found.readings
    causes = []
    for knob in knobs:
        values = [c.get(knob.name, knob.neutral) for c in (found.reference, found.candidate)]
        if values[0] != values[1]:
            words = knob.tell(Turned(site, ours, *values))
            causes.append(Cause(knob.name, words.claim, words.remedy, words.fitted))
    if not causes:
        return None
    return Proposal(
        tuple(causes),
        modelled=computed(found.family, knobs, theirs, found.candidate),
        # The view only gives the shape: another stride makes another one.
        repaired=computed(found.family, knobs, replace(theirs, view=ours.view), found.reference),
        cost=float(len(causes)),
    )


def member(space: Space) -> Chosen | None:
    """The simplest member that makes the target; None where none of those that are tried does."""
    return _from_nothing(space, ())


def _nearest(space: Space, start: Chosen) -> Chosen | None:
    """The member that makes the target and turns at most two knobs from a start.

    Every knob is turned alone; a second one only beside those that came nearest alone, and after
    what can be read off the target.
    """
    if space.off(start) <= space.good:
        return start
    near = [start]
    for depth in range(DEPTH):
        found, near = _closer(space, near, space.knobs)
        if found is None and not depth:
            found = _fitting(space, space.read_off())
        if found is not None:
            return found
    return None


def _fitting(space: Space, members: Iterable[Chosen]) -> Chosen | None:
    return next((each for each in members if space.off(each) <= space.good), None)


def _closer(
    space: Space, starts: Sequence[Chosen], knobs: Sequence[Knob], *, is_usual: bool = False
) -> tuple[Chosen | None, list[Chosen]]:
    """Turn one knob from any of the starts: the member that makes the target, or the nearest."""
    ranked: list[tuple[float, int, Chosen]] = []
    for start in starts:
        for knob in knobs:
            for chosen in space.turned(knob, start, is_usual=is_usual):
                off = space.off(chosen)
                if off <= space.good:
                    return chosen, []
                ranked.append((off, len(ranked), chosen))
            if space.budget.is_spent:
                return None, []
    return None, [chosen for _, _, chosen in sorted(ranked, key=lambda one: one[:2])[:BEAM]]


def _from_nothing(space: Space, starts: Sequence[Chosen]) -> Chosen | None:
    """A side's member: one that was found before, or can be read off the target up to one knob.

    Else among all usual values of the wide knobs together, with up to two more turned beside those
    that come nearest.
    """
    read = list(space.read_off())
    found = _fitting(space, (*starts, *read)) or _closer(space, read[:BEAM], space.knobs)[0]
    if found is not None:
        return found
    ranked: list[tuple[float, int, Chosen]] = []
    wide = [knob for knob in space.knobs if knob.is_wide]
    for chosen in space.settings(wide, {}):
        off = space.off(chosen)
        if off <= space.good:
            return chosen
        ranked.append((off, len(ranked), chosen))
        if space.budget.is_spent:
            return None
    near = [chosen for _, _, chosen in sorted(ranked, key=lambda one: one[:2])[:BEAM]]
    sane = [knob for knob in space.knobs if not knob.is_odd]
    for _ in range(DEPTH if space.is_rare else 1):
        found, near = _closer(space, near, sane, is_usual=True)
        if found is not None:
            return found
    return None
