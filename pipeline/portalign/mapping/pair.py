"""Which records of two traces are to be compared, and what is left over on either side.

State follows the weight plan, activations follow the module map, everything else its key. A record
is never paired by its values, and by its shape only to refuse.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import final

from portalign.mapping._activations import ActivationPairs, pair_activations
from portalign.mapping._modules import module_map
from portalign.mapping._outputs import pair_outputs
from portalign.mapping.layouts import AS_IS, Layout
from portalign.mapping.weights import Carry, WeightPlan
from portalign.records import (
    Array,
    Kind,
    ModuleInfo,
    ParameterInfo,
    Precision,
    Role,
    Structure,
    TensorKey,
    TensorRecord,
    Trace,
)
from portalign.results import Unpaired

__all__ = ["Pair", "Pairing", "module_map", "pair"]

_STATE = (Kind.PARAMETER, Kind.BUFFER)
_BY_MODULE = (Kind.ACTIVATION, Kind.GRADIENT)
_BY_PARAMETER = (Kind.OPTIMIZER_STATE, Kind.LR, Kind.GRADIENT_NORM)  # path: the parameter's name
_STATE_WORDS = {
    Kind.GRADIENT: "grad ",
    Kind.OPTIMIZER_STATE: "state ",
    Kind.LR: "lr ",
    Kind.GRADIENT_NORM: "clipping ",
}
_Moment = tuple[str, int]  # what of the parameter, iteration
_PROMISED = frozenset((Kind.INPUT, Kind.DRAW, Kind.PREDICTION, Kind.METRIC, Kind.LR, Kind.LOSS))


@final
@dataclass(frozen=True, slots=True)
class Pair:
    """One reference record and what it is compared with.

    Attributes:
        candidate: its counterpart; the first of them where the reference packs several.
        others: the rest of the packed counterparts, in the plan's order.
        layout: from the reference's layout to the candidate's.
        part: which of the reference's tensors this is, where the candidate packs several.
        how: the rule that paired them.
        label: how reports print it; unique within a pairing.
    """

    reference: TensorRecord
    candidate: TensorRecord
    layout: Layout
    how: str
    label: str
    others: tuple[TensorRecord, ...] = ()
    part: int = 0

    def candidate_values(self) -> Array:
        """The candidate's values in the reference's layout and packing; a view where possible."""
        arrays = [record.array for record in (self.candidate, *self.others)]
        return self.layout.backward_all(arrays)[self.part]


@final
@dataclass(frozen=True, slots=True)
class Pairing:
    """All native pairs in the reference's capture order, and all records without a counterpart."""

    pairs: tuple[Pair, ...]
    unpaired: tuple[Unpaired, ...]
    _reference: dict[TensorKey, TensorRecord] = field(default_factory=dict, repr=False)
    _candidate: dict[TensorKey, TensorRecord] = field(default_factory=dict, repr=False)

    def twin(self, pair: Pair) -> Pair | None:
        """The same pair in float64; None unless every record of it has a twin."""
        reference = self._reference.get(_lifted(pair.reference.key))
        found = [self._candidate.get(_lifted(r.key)) for r in (pair.candidate, *pair.others)]
        twins = [record for record in found if record is not None]
        if reference is None or len(twins) != len(found):
            return None
        return replace(pair, reference=reference, candidate=twins[0], others=tuple(twins[1:]))


def pair(
    reference: Trace, candidate: Trace, plan: WeightPlan, *, outputs: Sequence[str] = ()
) -> Pairing:
    """Pair the native records of two traces.

    Args:
        outputs: names the step promises; empty: every output either side returned is promised.

    Incomplete traces are paired as far as they go.
    """
    structures = (_structure(reference), _structure(candidate))
    sides = (_native(reference), _native(candidate))
    pairs, unpaired = _pair_state(sides, structures, plan)
    rest = _without_state(sides, structures)
    for kind in (k for k in Kind if k not in (*_STATE, *_BY_MODULE, Kind.OUTPUT)):
        found, alone = _pair_keys(rest, kind)
        pairs += found
        unpaired += alone
    matched, alone = pair_outputs(*(_of(side, Kind.OUTPUT) for side in sides), promised=outputs)
    pairs += [Pair(a, b, AS_IS, how, f"output {a.key.path}{_when(a)}") for a, b, how in matched]
    unpaired += alone
    inner = _pair_inner(sides, structures, plan)
    pairs += [
        Pair(a, b, AS_IS, how, f"{_inner_kind(a)}{a.key.path or '(root)'} {a.key.slot}{_when(a)}")
        for a, b, how in inner.pairs
    ]
    pairs.sort(key=lambda found: found.reference.order)
    everything = (reference.by_key(), candidate.by_key())
    return Pairing(tuple(pairs), (*unpaired, *inner.unpaired), *everything)


def _lifted(key: TensorKey) -> TensorKey:
    return replace(key, precision=Precision.FLOAT64)


def _native(trace: Trace) -> list[TensorRecord]:
    return [record for record in trace.records if record.key.precision is Precision.NATIVE]


def _of(records: Iterable[TensorRecord], kind: Kind) -> list[TensorRecord]:
    return [record for record in records if record.key.kind is kind]


def _when(record: TensorRecord) -> str:
    key = record.key
    text = f" call {key.call}" if key.call else ""
    return text + (f" iteration {key.iteration}" if key.iteration else "")


def _inner_kind(record: TensorRecord) -> str:
    return "grad " if record.key.kind is Kind.GRADIENT else ""


def _structure(trace: Trace) -> Structure:
    """The side's structure, or what its records tell of it when the trace is incomplete."""
    if trace.info is not None and trace.info.structure is not None:
        return trace.info.structure
    native = _native(trace)
    inner = {
        r.key.path: ModuleInfo(r.key.path, r.module_type) for r in _of(native, Kind.ACTIVATION)
    }
    state = {
        r.key.name: ParameterInfo(
            r.key.name, r.key.path, r.key.slot, r.module_type, r.array.shape, r.dtype, r.key.kind
        )
        for r in native
        if r.key.kind in _STATE
    }
    modules = tuple(inner[path] for path in sorted(inner))  # parents come before children
    return Structure("", modules, tuple(state.values()))


def _without_state(
    sides: Sequence[Sequence[TensorRecord]], structures: Sequence[Structure]
) -> list[list[TensorRecord]]:
    """What belongs to no parameter or buffer."""
    names = [_names(structure) for structure in structures]
    return [
        [record for record in side if _owner(record, known) is None]
        for side, known in zip(sides, names, strict=True)
    ]


def _owner(record: TensorRecord, names: Container[str]) -> str | None:
    """The parameter or buffer that a record is of, by any of its names; None if it is of none."""
    key = record.key
    if key.kind in _STATE or (key.kind is Kind.GRADIENT and key.name in names):
        return key.name
    return key.path if key.kind in _BY_PARAMETER and key.slot and key.path in names else None


def _moment(record: TensorRecord) -> _Moment:
    key = record.key
    if key.kind in _STATE:
        return "", key.iteration
    return key.kind.value + (f" {key.slot}" if key.kind in _BY_PARAMETER else ""), key.iteration


def _pair_keys(
    sides: Sequence[Sequence[TensorRecord]], kind: Kind
) -> tuple[list[Pair], list[Unpaired]]:
    """Pair records of equal key."""
    left, right = ({record.key: record for record in _of(side, kind)} for side in sides)
    pairs = [
        Pair(left[key], right[key], AS_IS, "same key", f"{kind.value} {key.name}{_when(left[key])}")
        for key in left.keys() & right.keys()
    ]
    is_promised = kind in _PROMISED
    alone = [(Role.REFERENCE, key) for key in left if key not in right]
    alone += [(Role.CANDIDATE, key) for key in right if key not in left]
    reason = f"the other side recorded no such {kind.value}"
    return pairs, [Unpaired(role.value, key, reason, is_promised) for role, key in alone]


def _names(structure: Structure) -> dict[str, str]:
    """Every name -> the name it is tied to, or itself."""
    return {info.name: info.tied_to or info.name for info in structure.state}


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


def _pair_state(
    sides: Sequence[Sequence[TensorRecord]], structures: Sequence[Structure], plan: WeightPlan
) -> tuple[list[Pair], list[Unpaired]]:
    left, right = (
        _state_index(side, _names(structure))
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


def _pairs_of(
    entry: Carry, ours: Sequence[TensorRecord], theirs: Sequence[TensorRecord], labels: set[str]
) -> list[Pair]:
    pairs = []
    for part, record in enumerate(ours):
        label = f"{_STATE_WORDS.get(record.key.kind, '')}{record.key.name}{_when(record)}"
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


def _pair_inner(
    sides: Sequence[Sequence[TensorRecord]], structures: Sequence[Structure], plan: WeightPlan
) -> ActivationPairs:
    inner = []
    for side, structure in zip(sides, structures, strict=True):
        names = _names(structure)
        inner.append([r for r in side if r.key.kind in _BY_MODULE and _owner(r, names) is None])
    return pair_activations(inner[0], inner[1], structures[0], structures[1], plan)
