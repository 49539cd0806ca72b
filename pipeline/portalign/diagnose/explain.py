"""Find the simplest member of a family that makes what a side made, for each side by itself.

The reference is searched from nothing, the candidate from where the reference was found, for a port
is mostly right. Where the two stand at different members, the knobs that differ are the causes.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
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
TRIED = 40  # readings of like places on which a family may fail before it is no longer searched
MOST = 10_000  # members computed for one side of one place


@final
@dataclass(slots=True)
class Seen:
    """Members found at earlier places, tried first: a cause mostly shows in every layer alike.

    And places where a family explained nothing, with the numbers in their names left out: it isn't
    searched in every layer, only tried with the members that are known by then.
    """

    members: dict[str, list[tuple[Chosen, Chosen]]] = field(default_factory=dict)
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)

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
        place = family.name, re.sub(r"\d+", "#", site.origin.label)
        if seen.failures[place] >= TRIED:
            continue
        if both := _both(*spaces, [reference for reference, _ in known]):
            seen.add(family.name, *both)
            yield Explained(family, (ours, theirs), *both)
        else:
            seen.failures[place] += 1


def _both(
    reference: _Space, candidate: _Space, starts: Sequence[Chosen]
) -> tuple[Chosen, Chosen] | None:
    """Both sides' members: the reference's from nothing and the candidate's from there, or the
    other way round, for the reference can be the odd one.
    """
    first = _from_nothing(reference, starts)
    if first is not None:
        second = _nearest(candidate, first, depth=DEPTH)
        return None if second is None else (first, second)
    other = None if reference.is_dear else _from_nothing(candidate, [])
    if other is None:
        return None
    first = _nearest(reference, other, depth=DEPTH)
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
        self.is_dear = family.is_dear
        self.n_left = MOST

    def holds(self, chosen: Chosen) -> bool:
        """The member makes the target."""
        try:
            made = self._made(chosen)
        except (ValueError, IndexError):  # shapes that this member can't have
            return False
        return relative(made, self._reading.view.target) <= self._good

    def settings(
        self,
        knobs: Sequence[Knob],
        start: Chosen,
        *,
        is_anew: bool = False,
        with_fits: bool = True,
    ) -> Iterator[Chosen]:
        """Every way to turn all of the knobs from a start, or to set them if it is anew."""
        if not knobs:
            yield start
            return
        knob, *rest = knobs
        tried: list[Value] = [] if is_anew else [start.get(knob.name, knob.neutral)]
        for value in self._options(knob, start, is_anew=is_anew, with_fits=with_fits):
            if value not in tried:
                tried.append(value)
                yield from self.settings(
                    rest, {**start, knob.name: value}, is_anew=is_anew, with_fits=with_fits
                )

    def _options(
        self, knob: Knob, start: Chosen, *, is_anew: bool, with_fits: bool
    ) -> Iterator[Value]:
        values = knob.usual if is_anew and knob.usual else knob.values
        yield from values(self._reading, start)
        yield knob.neutral
        for guess in knob.guesses if with_fits else ():
            value = fitted(
                lambda value: self._made({**start, knob.name: value}),
                self._reading.view.target,
                guess,
                is_log=knob.is_log,
            )
            if math.isfinite(value):
                yield from nice(value)

    def _made(self, chosen: Chosen) -> Numbers:
        self.n_left -= 1
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


def _from_nothing(space: _Space, starts: Sequence[Chosen]) -> Chosen | None:
    """A side's member: near one that was found before, else over all wide knobs together and at
    most one other.
    """
    for start in starts:
        if found := _nearest(space, start, depth=1):
            return found
    wide = [knob for knob in space.knobs if knob.is_wide]
    others = [[knob] for knob in space.knobs if not knob.is_wide and not knob.is_odd]
    for with_fits, other in ((False, []), *((False, each) for each in others), (True, [])):
        for chosen in space.settings([*other, *wide], {}, is_anew=True, with_fits=with_fits):
            if space.holds(chosen):
                return chosen
            if space.n_left <= 0:
                return None
    return None
