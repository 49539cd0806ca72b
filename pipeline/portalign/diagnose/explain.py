"""Find the simplest member of a family that makes what a side made, for each side by itself.

The reference is searched from nothing, the candidate from where the reference was found: a port is
mostly right. Where the two stand at different members, the knobs that differ are the causes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import final

from portalign.diagnose.confirm import Cause, Proposal, needed, relative
from portalign.diagnose.evidence import Numbers, Site
from portalign.diagnose.family import Chosen, Family, Knob, Reading, Turned, Value, computed
from portalign.diagnose.fit import fitted
from portalign.diagnose.words import nice

DEPTH = (
    2  # knobs turned at once; pairs of causes at one place are tried, triples would take minutes
)
MOST = 20_000  # members computed for one side of one place


@final
@dataclass(slots=True)
class Seen:
    """Members found at earlier places, tried first: a cause mostly shows in every layer alike."""

    members: dict[str, list[tuple[Chosen, Chosen]]] = field(default_factory=dict)

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
    for ours, theirs in family.readings(site):
        spaces = _Space(family, knobs, ours, good), _Space(family, knobs, theirs, good)
        for reference, candidate in known:
            if spaces[0].holds(reference) and spaces[1].holds(candidate):
                yield Explained(family, (ours, theirs), reference, candidate)
                return
        found = _of_reference(spaces[0], [reference for reference, _ in known])
        also = None if found is None else _nearest(spaces[1], found, depth=DEPTH)
        if found is not None and also is not None:
            seen.add(family.name, found, also)
            yield Explained(family, (ours, theirs), found, also)


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
        repaired=computed(found.family, knobs, theirs, found.reference),
        cost=float(len(causes)),
    )


@final
class _Space:
    """The members of a family on one reading.

    Args:
        good: relative difference up to which a member is what made the target.
    """

    def __init__(
        self, family: Family, knobs: Sequence[Knob], reading: Reading, good: float
    ) -> None:
        self._family, self._reading, self._good = family, reading, good
        self.knobs = knobs
        self.n_left = MOST

    def holds(self, chosen: Chosen) -> bool:
        """The member makes the target."""
        self.n_left -= 1
        try:
            made = self._made(chosen)
        except (ValueError, IndexError):  # shapes that this member can't have
            return False
        return relative(made, self._reading.view.target) <= self._good

    def settings(
        self, knobs: Sequence[Knob], start: Chosen, *, is_anew: bool = False
    ) -> Iterator[Chosen]:
        """Every way to turn all of the knobs from a start, or to set them if it is anew."""
        if not knobs:
            yield start
            return
        knob, *rest = knobs
        tried: list[Value] = [] if is_anew else [start.get(knob.name, knob.neutral)]
        for value in self._options(knob, start):
            if value not in tried:
                tried.append(value)
                yield from self.settings(rest, {**start, knob.name: value}, is_anew=is_anew)

    def _options(self, knob: Knob, start: Chosen) -> Iterator[Value]:
        yield from knob.values(self._reading, start)
        yield knob.neutral
        for guess in knob.guesses:
            value = fitted(
                lambda value: self._made({**start, knob.name: value}),
                self._reading.view.target,
                guess,
                is_log=knob.is_log,
            )
            if math.isfinite(value):
                yield from nice(value)

    def _made(self, chosen: Chosen) -> Numbers:
        return computed(self._family, self.knobs, self._reading, chosen)


def _nearest(space: _Space, start: Chosen, *, depth: int) -> Chosen | None:
    """The member that makes the target and turns fewest knobs from a start; None if there is none
    within the depth.
    """
    for n_turned in range(depth + 1):
        for some in combinations(space.knobs, n_turned):
            for chosen in space.settings(some, start):
                if space.holds(chosen):
                    return chosen
                if space.n_left <= 0:
                    return None
    return None


def _of_reference(space: _Space, starts: Sequence[Chosen]) -> Chosen | None:
    """The reference's member: near one that was found before, else over all wide knobs together and
    at most one other.
    """
    for start in starts:
        if found := _nearest(space, start, depth=1):
            return found
    wide = [knob for knob in space.knobs if knob.is_wide]
    others = [[], *([knob] for knob in space.knobs if not knob.is_wide)]
    for other in others:
        for chosen in space.settings([*other, *wide], {}, is_anew=True):
            if space.holds(chosen):
                return chosen
            if space.n_left <= 0:
                return None
    return None
