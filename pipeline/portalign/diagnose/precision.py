"""Name what one side alone computes in lower precision, where the float64 twins agree.

The mathematics is known from the reference's twin. It is computed again from each side's own
tensors, exactly and with one thing rounded: what then comes out as that side recorded it is the
cause. Rounding falls the other way for a few elements, so this proves to the side's own precision
and not by six orders.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

from portalign.diagnose.confirm import relative
from portalign.diagnose.evidence import Evidence, Site
from portalign.diagnose.explain import Seen, explanations
from portalign.diagnose.family import Chosen, Family, Knob, Reading, Turned, computed
from portalign.diagnose.registry import all_families, knobs_of
from portalign.findings import Finding, FindingKind, Origin, OriginKind
from portalign.records import Kind
from portalign.results import Verdict

# Of what one rounding explains, the rest must be so much smaller than the whole difference. Scores
# and angles rounded to bfloat16 leave 4e-5 to 3e-4 of it in the fault matrix.
_FALL = 0.01


@final
@dataclass(frozen=True, slots=True)
class _Member:
    """What the twins compute, read off one side's own tensors."""

    family: Family
    reading: Reading
    chosen: Chosen

    def off(self, knobs: tuple[Knob, ...], **rounded: object) -> float:
        """How far it is from what the side recorded, with some of it rounded."""
        made = computed(self.family, knobs, self.reading, {**self.chosen, **rounded})
        return relative(made, self.reading.view.target)


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
                found = [_rounded(each, knobs, rounding) for each in members]
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


def _rounded(
    member: _Member, knobs: tuple[Knob, ...], rounding: tuple[Knob, ...]
) -> tuple[Knob, object] | None:
    """The rounding that makes what the side recorded; None where it is no nearer than without."""
    before = member.off(knobs)
    for knob in rounding:
        for value in knob.values(member.reading, member.chosen):
            if member.off(knobs, **{knob.name: value}) < _FALL * before:
                return knob, value
    return None


def _finding(
    site: Site,
    members: tuple[_Member, _Member],
    found: list[tuple[Knob, object] | None],
    knobs: tuple[Knob, ...],
) -> Finding:
    knob = next(each[0] for each in found if each)
    values = [each[1] if each and each[0] is knob else knob.neutral for each in found]
    words = knob.tell(Turned(site, members[0].reading, *values))
    odd = members[0] if found[0] else members[1]
    value = values[0] if found[0] else values[1]
    before, after = odd.off(knobs), odd.off(knobs, **{knob.name: value})
    return Finding(
        knob.name,
        FindingKind.CAUSE,
        (site.origin.label,),
        words.claim,
        f"computed again from that side's own tensors, what it made is {before:.1e} away, and "
        f"{after:.1e} once this is rounded; in float64 both sides agree",
        words.remedy,
        dict(words.fitted),
        before,
        after,
        is_confirmed=True,
    )
