"""Pair what belongs to parameters and buffers: values, gradients, what the optimizer keeps.

All of it follows the weight plan, moment by moment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Sequence

from portalign.mapping.layouts import AS_IS
from portalign.mapping.pairing import Pair, when
from portalign.mapping.weights import Carry, WeightPlan
from portalign.records import Kind, Role, Structure, TensorRecord
from portalign.results import Unpaired

STATE = (Kind.PARAMETER, Kind.BUFFER)
_BY_PARAMETER = (Kind.OPTIMIZER_STATE, Kind.LR, Kind.GRADIENT_NORM)  # path: the parameter's name
_STATE_WORDS = {
    Kind.GRADIENT: "grad ",
    Kind.OPTIMIZER_STATE: "state ",
    Kind.LR: "lr ",
    Kind.GRADIENT_NORM: "clipping ",
}
_Moment = tuple[str, int]  # what of the parameter, iteration


def pair_state(
    sides: Sequence[Sequence[TensorRecord]], structures: Sequence[Structure], plan: WeightPlan
) -> tuple[list[Pair], list[Unpaired]]:
    left, right = (
        _state_index(side, names_of(structure))
        for side, structure in zip(sides, structures, strict=True)
    )
    pairs: list[Pair] = []
    labels: set[str] = set()
    for entry in plan.entries:
        ours = [left.get(name, {}) for name in entry.reference]
        theirs = [right.get(name, {}) for name in entry.candidate]
        shared = set.intersection(*(set(moments) for moments in (*ours, *theirs)))
        for moment in sorted(shared):
            records = [m[moment] for m in ours], [m[moment] for m in theirs]
            pairs += _pairs_of(entry, *records, labels)
    used = {id(r) for found in pairs for r in (found.reference, found.candidate, *found.others)}
    harmless = plan.harmless()
    unpaired = [
        _left_over(role, record, harmless)
        for role, index in zip(Role, (left, right), strict=True)
        for moments in index.values()
        for record in moments.values()
        if id(record) not in used
    ]
    return pairs, unpaired


def names_of(structure: Structure) -> dict[str, str]:
    """Every name -> the name it is tied to, or itself."""
    return {info.name: info.tied_to or info.name for info in structure.state}


def without_state(
    sides: Sequence[Sequence[TensorRecord]], structures: Sequence[Structure]
) -> list[list[TensorRecord]]:
    """What belongs to no parameter or buffer."""
    names = [names_of(structure) for structure in structures]
    return [
        [record for record in side if _owner(record, known) is None]
        for side, known in zip(sides, names, strict=True)
    ]


def _owner(record: TensorRecord, names: Container[str]) -> str | None:
    """The parameter or buffer that a record is of, by any of its names; None if it is of none."""
    key = record.key
    if key.kind in STATE or (key.kind is Kind.GRADIENT and key.name in names):
        return key.name
    return key.path if key.kind in _BY_PARAMETER and key.slot and key.path in names else None


def _moment(record: TensorRecord) -> _Moment:
    key = record.key
    if key.kind in STATE:
        return "", key.iteration
    return key.kind.value + (f" {key.slot}" if key.kind in _BY_PARAMETER else ""), key.iteration


def _state_index(
    records: Iterable[TensorRecord], names: dict[str, str]
) -> dict[str, dict[_Moment, TensorRecord]]:
    """Records of parameters, buffers and their gradients by root name and moment."""
    found: dict[str, dict[_Moment, TensorRecord]] = defaultdict(dict)
    for record in records:
        owner = _owner(record, names)
        if owner is not None:
            found[names.get(owner, owner)].setdefault(_moment(record), record)
    return found


def _pairs_of(
    entry: Carry, ours: Sequence[TensorRecord], theirs: Sequence[TensorRecord], labels: set[str]
) -> list[Pair]:
    pairs = []
    for part, record in enumerate(ours):
        label = f"{_STATE_WORDS.get(record.key.kind, '')}{record.key.name}{when(record)}"
        if label in labels:  # one reference tensor, tied, in several of the candidate
            label += f" as {theirs[0].key.name}"
        labels.add(label)
        if record.key.kind in _BY_PARAMETER and record.array.ndim == 0:  # one number in any layout
            for other in theirs:
                more = f" as {other.key.name}" if len(theirs) > 1 else ""
                pairs.append(Pair(record, other, AS_IS, entry.why, label + more))
            continue
        pairs.append(
            Pair(record, theirs[0], entry.layout, entry.why, label, tuple(theirs[1:]), part)
        )
    return pairs


def _left_over(role: Role, record: TensorRecord, harmless: frozenset[str]) -> Unpaired:
    if record.key.name in harmless:
        return Unpaired(
            role.value, record.key, "the other side needs no such tensor", is_promised=False
        )
    reason = f"the other side recorded no counterpart of this {record.key.kind.value}"
    return Unpaired(role.value, record.key, reason, is_promised=True)
