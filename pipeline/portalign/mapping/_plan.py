"""From matched items to a weight plan: ties followed, packed tensors joined, every fate audited."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import final

from portalign.mapping._complaints import Problems, complain
from portalign.mapping._items import Item, is_harmless
from portalign.mapping._repacking import repacked
from portalign.mapping.axes import Decision
from portalign.mapping.layouts import AS_IS
from portalign.mapping.weights import AuditLine, Carry, Fate, WeightPlan
from portalign.records import ParameterInfo, Structure


@final
@dataclass(frozen=True, slots=True)
class Match:
    """Two items that are the same thing, the layout between them, and the rule that said so."""

    reference: Item
    candidate: Item
    decision: Decision
    why: str


def plan_of(
    reference: Structure, candidate: Structure, matches: Sequence[Match], problems: Problems
) -> WeightPlan:
    """The plan that matches make, or an error with all that stands against it.

    Raises:
        MappingError: `problems` has any, or matches disagree on what fills a candidate tensor.
    """
    groups = list(_grouped(matches))
    kept, conflicts = _one_source_each([_carry(group) for group in groups])
    conflicts += [_mixed(group) for group in groups if len({m.decision.layout for m in group}) > 1]
    still_open = [match for match in matches if match.decision.is_open]
    complain(
        replace(
            problems,
            open_layouts=tuple(
                f"{m.reference} -> {m.candidate}: {m.decision.reason}" for m in still_open
            ),
            open_names=tuple(match.reference.name for match in still_open),
            conflicts=tuple(conflicts),
        )
    )
    order = {info.name: at for at, info in enumerate(reference.state)}
    kept.sort(key=lambda carry: order[carry.reference[0]])
    audit = [
        *_loaded(kept, reference, candidate),
        *_tied(reference, candidate, kept),
        *_unused(reference, candidate, matches),
    ]
    return WeightPlan(tuple(kept), tuple(audit))


def _grouped(matches: Sequence[Match]) -> Iterator[list[Match]]:
    """Matches that make one carry: one alone, or all parts of tensors that pack each other's."""
    groups: dict[str, list[Match]] = {}
    for match in matches:
        if not (match.reference.part or match.candidate.part):
            yield [match]
            continue
        names = f"reference {match.reference.name}", f"candidate {match.candidate.name}"
        joined = [match]
        for group in {id(groups[name]): groups[name] for name in names if name in groups}.values():
            joined += group
        for each in joined:
            for item, role in ((each.reference, "reference"), (each.candidate, "candidate")):
                groups[f"{role} {item.name}"] = joined
    for group in {id(group): group for group in groups.values()}.values():
        if _is_whole(group):  # else its other parts are reported as open
            yield _in_order(group)


def _is_whole(group: Sequence[Match]) -> bool:
    """Whether every packed tensor of a group has all of its parts in it."""
    held: dict[tuple[int, str], set[str]] = defaultdict(set)
    wanted: dict[tuple[int, str], set[str]] = {}
    for match in group:
        for side, item in enumerate((match.reference, match.candidate)):
            if item.packing is not None:
                held[side, item.name].add(item.part)
                wanted[side, item.name] = set(item.packing.parts)
    return held == wanted


def _in_order(group: Sequence[Match]) -> list[Match]:
    """In the order in which the reference packs them, else in the candidate's."""
    sides = [[match.reference for match in group], [match.candidate for match in group]]
    packed = next(items for items in sides if any(item.packing for item in items))
    at = {id(match): _place(item) for match, item in zip(group, packed, strict=True)}
    return sorted(group, key=lambda match: at[id(match)])


def _place(item: Item) -> tuple[str, int]:
    return item.name, item.packing.parts.index(item.part) if item.packing else 0


def _carry(group: Sequence[Match]) -> Carry:
    first = group[0]
    inner = first.decision.layout or AS_IS
    why = f"{first.why}; {inner}: {first.decision.reason}"
    layout, outputs = inner, None
    if first.reference.part or first.candidate.part:
        sides = [match.reference for match in group], [match.candidate for match in group]
        found = repacked(*sides, inner)
        layout, outputs, why = found.layout, found.outputs, f"{why}; {found.told}"
    return Carry(
        reference=_names([match.reference for match in group]),
        candidate=_names([match.candidate for match in group]),
        layout=layout,
        why=why,
        is_copied=all(m.reference.is_persistent and m.candidate.is_persistent for m in group),
        outputs=outputs,
    )


def _names(items: Sequence[Item]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item.root for item in items))


def _one_source_each(carries: Sequence[Carry]) -> tuple[list[Carry], list[str]]:
    """One carry for each candidate tensor, and where tied names disagree on it."""
    kept: dict[str, Carry] = {}
    conflicts = []
    for carry in carries:
        others = [kept[name] for name in carry.candidate if name in kept]
        for other in others:
            if (carry.reference, carry.layout) != (other.reference, other.layout):
                conflicts.append(
                    f"{', '.join(carry.candidate)} is filled by {', '.join(other.reference)} "
                    f"({other.layout}) and by {', '.join(carry.reference)} ({carry.layout}): the "
                    "candidate ties what the reference doesn't"
                )
        if not others:
            kept.update(dict.fromkeys(carry.candidate, carry))
    return list(dict.fromkeys(kept.values())), conflicts


def _mixed(group: Sequence[Match]) -> str:
    lying = ", ".join(f"{m.reference} -> {m.candidate} {m.decision.layout}" for m in group)
    return f"parts of one tensor lie differently: {lying}"


def _loaded(
    carries: Sequence[Carry], reference: Structure, candidate: Structure
) -> Iterator[AuditLine]:
    squares = [
        {info.name for info in side.state if len(info.shape) == 2 and len(set(info.shape)) == 1}
        for side in (reference, candidate)
    ]
    for carry in carries:
        text = f"{' + '.join(carry.reference)} -> {' + '.join(carry.candidate)}: {carry.why}"
        if squares[0] & {*carry.reference} or squares[1] & {*carry.candidate}:
            text += " (square: its shape couldn't tell)"
        fate = Fate.LOADED if carry.is_copied else Fate.COMPUTED
        text += "" if carry.is_copied else "; each side computes it itself, so it is only compared"
        yield AuditLine(fate, carry.reference, carry.candidate, text)


def _tied(
    reference: Structure, candidate: Structure, carries: Sequence[Carry]
) -> Iterator[AuditLine]:
    for info in reference.state:
        if info.tied_to:
            filled = [n for c in carries if info.tied_to in c.reference for n in c.candidate]
            text = f"reference {info.name} is tied to {info.tied_to}"
            text += f"; its values go to {' and '.join(filled)}"
            yield AuditLine(Fate.TIED, (info.name, info.tied_to), tuple(filled), text)
    for info in candidate.state:
        if info.tied_to:
            sources = [n for c in carries if info.tied_to in c.candidate for n in c.reference]
            text = f"candidate {info.name} is tied to {info.tied_to}"
            text += f"; written once, from {' and '.join(sources)}"
            yield AuditLine(Fate.TIED, tuple(sources), (info.name, info.tied_to), text)


def _unused(
    reference: Structure, candidate: Structure, matches: Sequence[Match]
) -> Iterator[AuditLine]:
    ours = {match.reference.root for match in matches}
    theirs = {match.candidate.root for match in matches}
    for info in _idle(reference, ours):
        yield AuditLine(Fate.UNUSED, (info.name,), (), f"reference {info.name}: {_why_idle(info)}")
    for info in _idle(candidate, theirs):
        yield AuditLine(Fate.UNUSED, (), (info.name,), f"candidate {info.name}: {_why_idle(info)}")


def _idle(structure: Structure, matched: set[str]) -> list[ParameterInfo]:
    return [
        info
        for info in structure.state
        if is_harmless(info) and (info.tied_to or info.name) not in matched
    ]


def _why_idle(info: ParameterInfo) -> str:
    kind = "a constant or counter" if info.persistent else "not part of the state dict"
    return f"{kind}, computed by this side; the other side needs no such tensor"
