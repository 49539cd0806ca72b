"""From matched items to a weight plan: ties followed, packed tensors joined, every fate audited."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import final

from portalign.mapping._complaints import Problems, complain
from portalign.mapping._items import PARTS, Item, is_harmless
from portalign.mapping.axes import Decision
from portalign.mapping.layouts import AS_IS, Concat, Layout, Split
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
    carries = [_carry(group) for group in _grouped(matches)]
    kept, conflicts = _one_source_each(carries)
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
    """Matches that make one carry: one alone, or the three parts of a packed tensor."""
    packed: dict[tuple[str, str], list[Match]] = defaultdict(list)
    for match in matches:
        ours, theirs = match.reference, match.candidate
        if ours.part or theirs.part:
            key = (ours.name if ours.part else "", theirs.name if theirs.part else "")
            packed[key].append(match)
        else:
            yield [match]
    for group in packed.values():
        if len(group) == len(PARTS):  # else its other parts are reported as open
            yield sorted(group, key=lambda m: PARTS.index(m.reference.part or m.candidate.part))


def _carry(group: Sequence[Match]) -> Carry:
    first = group[0]
    ours, theirs = first.reference, first.candidate
    inner = first.decision.layout or AS_IS
    why = f"{first.why}; {inner}: {first.decision.reason}"
    if len(group) > 1 and ours.part and theirs.part:
        why = f"{first.why}; packed on both sides, {inner}: {first.decision.reason}"
    elif len(group) > 1 and ours.part:
        inner = Layout((Split(_axis(ours), len(PARTS)), *inner.moves))
        why = f"{why}; the reference packs q, k and v in this order"
    elif len(group) > 1:
        inner = Layout((*inner.moves, Concat(_axis(theirs), len(PARTS))))
        why = f"{why}; the candidate packs q, k and v in this order"
    return Carry(
        reference=tuple(dict.fromkeys(match.reference.root for match in group)),
        candidate=tuple(dict.fromkeys(match.candidate.root for match in group)),
        layout=inner,
        why=why,
        is_copied=all(m.reference.is_persistent and m.candidate.is_persistent for m in group),
    )


def _axis(part: Item) -> int:
    """Axis along which a part was cut from its packed tensor."""
    return part.leaf.axes.index("o") if len(part.leaf.shape) == 2 else 0


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
