"""Name what one side alone computes in lower precision, where the float64 twins agree.

The mathematics is known from the reference's twin. It is computed again from each side's own
tensors, exactly and with one thing rounded: what then comes out as that side recorded it, down to
the floor that the other side's own rounding leaves, is the cause. Six orders can't be had there:
native float32 itself holds seven digits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from portalign.compare.tolerance import epsilon
from portalign.diagnose.confirm import relative
from portalign.diagnose.evidence import Evidence, Numbers, Site
from portalign.diagnose.explain import Seen, explanations
from portalign.diagnose.family import Chosen, Family, Knob, Reading, Turned, computed
from portalign.diagnose.registry import all_families, knobs_of
from portalign.findings import Finding, FindingKind, Origin, OriginKind
from portalign.records import Kind
from portalign.results import Verdict

# What is left once one thing is rounded, over what the exact side leaves by itself: 0.5 to 2.6 in
# the fault matrix, where nothing rounded leaves 6,000 and more. A row whose numbers lie within
# float32 rounding of a tie may fall the other way (2^-16 of all scores in bfloat16), so most rows
# must come down to the floor and not all.
_FLOORS = 8.0
_FALL = 0.01  # of the whole difference, for the rows that fell the other way too
_STEPS = 16.0  # of a dtype, that a floor may be: a product over 1024 numbers in float32 leaves 2
_ALIKE = 2.0  # two roundings that both reach the floor within this factor can't be told apart

# What is rounded, and through which dtypes: those that can't be told apart, likeliest first.
_Rounding = tuple[Knob, tuple[object, ...]]


@final
@dataclass(frozen=True, slots=True)
class _Member:
    """What the twins compute, read off one side's own tensors."""

    family: Family
    reading: Reading
    chosen: Chosen

    def off(self, knobs: tuple[Knob, ...], **rounded: object) -> float:
        """How far it is from what the side recorded, with some of it rounded."""
        return relative(self._made(knobs, rounded), self.reading.view.target)

    def typical(self, knobs: tuple[Knob, ...], **rounded: object) -> float:
        """The same for the median row, relative to a row of usual size."""
        target = self.reading.view.target
        made = self._made(knobs, rounded)
        if made.shape != target.shape or not np.isfinite(made).all() or not target.size:
            return math.inf
        rows = target.reshape(-1, target.shape[-1]) if target.ndim else target.reshape(1, 1)
        gaps = np.linalg.norm(made.reshape(rows.shape) - rows, axis=-1)
        size = float(np.sqrt(np.mean(np.linalg.norm(rows, axis=-1) ** 2)))
        return float(np.median(gaps)) / (size or 1.0)

    def _made(self, knobs: tuple[Knob, ...], rounded: Mapping[str, object]) -> Numbers:
        return computed(self.family, knobs, self.reading, {**self.chosen, **rounded})


def imprecise_places(evidence: Evidence) -> dict[str, Origin]:
    """Places in execution order whose twins agree and whose native values don't, by their labels.

    Where nothing else differs, the first is called what the report calls the beginning.
    """
    found = [
        Origin(
            one.label,
            OriginKind.GLUE if one.key.slot.startswith("in.") else OriginKind.MODULE,
            one.key.path,
            one.key.slot,
            one.key.call,
        )
        for one in sorted(evidence.comparisons, key=lambda one: one.order)
        if one.verdict is Verdict.PRECISION and one.key.kind is Kind.ACTIVATION
    ]
    where = evidence.divergence
    if found and not where.places and where.unresolved:
        found[0] = replace(found[0], label=where.unresolved[0])
    return {one.label: one for one in found}


def lost_precision(twin: Site, native: Site, seen: Seen) -> Finding | None:
    """What is rounded at a place on one side alone; None if no rule says.

    Args:
        twin: the place in float64, where both sides agree.
        native: the same as both sides ran, on their own tensors.
    """
    for family in all_families():
        if twin.origin.kind not in family.kinds:
            continue
        knobs = knobs_of(family.name)
        rounding = tuple(knob for knob in knobs if knob.is_precision)
        if rounding:
            for members in _members(twin, native, family, knobs, seen):
                found = _told(members, knobs, rounding)
                if found[0] != found[1]:
                    return _finding(native, members, found, knobs)
    return None


def _members(
    twin: Site, native: Site, family: Family, knobs: tuple[Knob, ...], seen: Seen
) -> Iterator[tuple[_Member, _Member]]:
    exact = tuple(knob for knob in knobs if not knob.is_precision)
    for found in explanations(twin, family, exact, seen):
        for ours, theirs in family.readings(native):
            if ours.names == found.readings[0].names:
                chosen = found.reference
                yield _Member(family, ours, chosen), _Member(family, theirs, chosen)


def _told(
    members: tuple[_Member, _Member], knobs: tuple[Knob, ...], rounding: tuple[Knob, ...]
) -> list[_Rounding | None]:
    """For each side what it rounds."""
    floor = _floor(members, knobs)
    return [_rounded(each, knobs, rounding, floor) for each in members]


def _floor(members: tuple[_Member, _Member], knobs: tuple[Knob, ...]) -> float:
    """What rounding leaves in the median row on the side that is nearer to exact; no more than a
    few of its steps, for both sides may round something.
    """
    step = epsilon(members[0].reading.view.precision)
    return max(step, min(_STEPS * step, *(each.typical(knobs) for each in members)))


def _rounded(
    member: _Member, knobs: tuple[Knob, ...], rounding: tuple[Knob, ...], floor: float
) -> _Rounding | None:
    """The rounding that makes what the side recorded; None where none comes down to the floor."""
    before = member.off(knobs)
    found: list[tuple[float, Knob, object]] = []
    for knob in rounding:
        for value in knob.values(member.reading, member.chosen):
            rounded = {knob.name: value}
            is_near = member.off(knobs, **rounded) < _FALL * before
            left = member.typical(knobs, **rounded) if is_near else math.inf
            if left <= _FLOORS * floor:
                found.append((left, knob, value))
    if not found or member.typical(knobs) <= _FLOORS * floor:
        return None
    left, knob, value = min(found, key=lambda one: one[0])
    others = [
        each
        for far, other, each in found
        if other is knob and each != value and far <= _ALIKE * max(left, floor)
    ]
    return knob, (value, *others)


def _finding(
    site: Site,
    members: tuple[_Member, _Member],
    found: list[_Rounding | None],
    knobs: tuple[Knob, ...],
) -> Finding:
    knob = next(each[0] for each in found if each)
    values = [each[1] if each and each[0] is knob else knob.neutral for each in found]
    words = knob.tell(Turned(site, members[0].reading, *values))
    odd = members[0] if found[0] else members[1]
    value = (values[0] if found[0] else values[1])[0]
    before, after = odd.off(knobs), odd.off(knobs, **{knob.name: value})
    typical = odd.typical(knobs, **{knob.name: value})
    floor = _floor(members, knobs)
    return Finding(
        knob.name,
        FindingKind.CAUSE,
        (site.origin.label,),
        words.claim,
        f"computed again from that side's own tensors, what it made is {before:.1e} away, and "
        f"{after:.1e} once this is rounded: {typical:.1e} in the median row, where rounding "
        f"by itself leaves {floor:.1e}; in float64 both sides agree",
        words.remedy,
        dict(words.fitted),
        before,
        after,
        is_confirmed=True,
    )
