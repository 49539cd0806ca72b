"""Which records of two traces are to be compared, and what is left over on either side.

State follows the weight plan, activations follow the module map, everything else its key. A record
is never paired by its values, and by its shape only to refuse.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from portalign.mapping._activations import pair_activations
from portalign.mapping._modules import module_map
from portalign.mapping._outputs import pair_outputs
from portalign.mapping._state import STATE, pair_state, without_state
from portalign.mapping.cuts import without_cuts
from portalign.mapping.layouts import AS_IS
from portalign.mapping.pairing import Pair, Pairing, when
from portalign.mapping.weights import WeightPlan
from portalign.records import (
    Kind,
    ModuleInfo,
    ParameterInfo,
    Precision,
    Role,
    Structure,
    TensorRecord,
    Trace,
)
from portalign.results import Unpaired

__all__ = ["Pair", "Pairing", "module_map", "pair"]

_BY_MODULE = (Kind.ACTIVATION, Kind.GRADIENT)
_PROMISED = frozenset((Kind.INPUT, Kind.DRAW, Kind.PREDICTION, Kind.METRIC, Kind.LR, Kind.LOSS))


def pair(
    reference: Trace, candidate: Trace, plan: WeightPlan, *, outputs: Sequence[str] = ()
) -> Pairing:
    """Pair the native records of two traces.

    Args:
        outputs: names the step promises; empty: every output either side returned is promised.

    Incomplete traces are paired as far as they go.
    """
    reference, candidate = without_cuts(reference, candidate)
    structures = (_structure(reference), _structure(candidate))
    sides = (_native(reference), _native(candidate))
    pairs, unpaired = pair_state(sides, structures, plan)
    rest = without_state(sides, structures)
    for kind in (k for k in Kind if k not in (*STATE, *_BY_MODULE, Kind.OUTPUT)):
        found, alone = _pair_keys(rest, kind)
        pairs += found
        unpaired += alone
    matched, alone = pair_outputs(*(_of(side, Kind.OUTPUT) for side in sides), promised=outputs)
    pairs += [Pair(a, b, AS_IS, how, f"output {a.key.path}{when(a)}") for a, b, how in matched]
    unpaired += alone
    inner = [[record for record in side if record.key.kind in _BY_MODULE] for side in rest]
    everything = (reference.by_key(), candidate.by_key())
    activations = pair_activations(inner[0], inner[1], *structures, plan, everything)
    pairs += activations.pairs
    pairs.sort(key=lambda found: found.reference.order)
    return Pairing(tuple(pairs), (*unpaired, *activations.unpaired), *everything)


def _native(trace: Trace) -> list[TensorRecord]:
    return [record for record in trace.records if record.key.precision is Precision.NATIVE]


def _of(records: Iterable[TensorRecord], kind: Kind) -> list[TensorRecord]:
    return [record for record in records if record.key.kind is kind]


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
        if r.key.kind in STATE
    }
    modules = tuple(inner[path] for path in sorted(inner))  # parents come before children
    return Structure("", modules, tuple(state.values()))


def _pair_keys(
    sides: Sequence[Sequence[TensorRecord]], kind: Kind
) -> tuple[list[Pair], list[Unpaired]]:
    """Pair records of equal key."""
    left, right = ({record.key: record for record in _of(side, kind)} for side in sides)
    pairs = [
        Pair(left[key], right[key], AS_IS, "same key", f"{kind.value} {key.name}{when(left[key])}")
        for key in left.keys() & right.keys()
    ]
    is_promised = kind in _PROMISED
    alone = [(Role.REFERENCE, key) for key in left if key not in right]
    alone += [(Role.CANDIDATE, key) for key in right if key not in left]
    reason = f"the other side recorded no such {kind.value}"
    return pairs, [Unpaired(role.value, key, reason, is_promised) for role, key in alone]
