"""See an origin from both sides: what each made there, and what it had to make it from.

In the grafted pass the candidate works on the reference's own tensors, so both sides' sources are
equal wherever they are paired, and only what was made differs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import final

from portalign.diagnose.backwards import Gradients, backward_site
from portalign.diagnose.evidence import Evidence, Site, Source, View
from portalign.diagnose.scored import loss_site
from portalign.findings import Origin, OriginKind
from portalign.mapping.pair import Pair
from portalign.records import Array, Kind, Precision, TensorKey, TensorRecord, Trace
from portalign.store import read_trace
from portalign.store.layout import MANIFEST

_FORWARD = (OriginKind.MODULE, OriginKind.GLUE)


@final
class Sites:
    """The origins of a step as sites.

    Args:
        evidence: the concluded step.
        is_native: as both sides ran by themselves, each on its own tensors.
    """

    def __init__(self, evidence: Evidence, *, is_native: bool = False) -> None:
        self._evidence = evidence
        self._is_native = is_native

    def of(self, origin: Origin) -> Site | None:
        """The site of an origin; None where nothing captured shows it from both sides."""
        if origin.kind is OriginKind.BACKWARD and self._graft:
            return backward_site(self._gradients(self._graft), origin)
        if origin.kind is OriginKind.LOSS and self._graft:
            return loss_site(self._gradients(self._graft), self._evidence.inputs, origin)
        if origin.kind not in _FORWARD:
            return None
        key = TensorKey(Kind.ACTIVATION, origin.path, origin.slot, origin.call)
        pair = self._pairs.get(key)
        if pair is None:
            return None
        here = pair.among(self._reference, self._arrived, precision=self._precision)
        if here is None:
            return None
        made = replace(here.candidate, array=here.candidate_values())
        views = (
            self._view(origin, here.reference, self._ours, self._reference_state),
            self._view(origin, made, self._theirs, self._candidate_state),
        )
        return Site(origin, *views)

    def native(self, origin: Origin) -> Site | None:
        """The same as both sides ran by themselves, in their own precision."""
        return self._ran.of(origin)

    @cached_property
    def _ran(self) -> Sites:
        return Sites(self._evidence, is_native=True)

    def _gradients(self, graft: Trace) -> Gradients:
        one = self._evidence
        return Gradients(
            one.pairing,
            one.reference,
            one.candidate,
            graft,
            self._precision,
            self._reference_state,
        )

    def _view(
        self,
        origin: Origin,
        made: TensorRecord,
        sources: list[tuple[int, TensorKey, Source]],
        state: Mapping[str, Array],
    ) -> View:
        inputs = []
        earlier: dict[str, Source] = {}
        for order, key, source in reversed(sources):
            if order >= made.order:
                continue
            is_input = key.path == made.key.path and key.call == made.key.call
            if origin.kind is OriginKind.MODULE and is_input and key.slot.startswith("in."):
                inputs.append(source)
            earlier.setdefault(source.name, source)
        return View(
            made.array,
            tuple(reversed(inputs)),
            tuple(earlier.values()),
            state,
            origin.path,
            made.module_type,
            precision=made.array.dtype.name,
        )

    @cached_property
    def _graft(self) -> Trace | None:
        if self._is_native:
            return self._evidence.candidate
        if self._evidence.arrived is not None:
            return self._evidence.arrived
        folder = self._evidence.graft
        if not (folder / MANIFEST).is_file():  # there was no pass, or it broke: begins tells
            return None
        return read_trace(folder)

    @cached_property
    def _precision(self) -> Precision:
        if self._is_native:
            return Precision.NATIVE
        records = self._graft.records if self._graft else ()
        is_lifted = any(r.key.precision is Precision.FLOAT64 for r in records)
        return Precision.FLOAT64 if is_lifted else Precision.NATIVE

    @cached_property
    def _pairs(self) -> dict[TensorKey, Pair]:
        """Native key of the reference -> pair."""
        return {
            pair.reference.key: pair
            for pair in self._evidence.pairing.pairs
            if pair.reference.key.kind is Kind.ACTIVATION and not pair.reference.key.iteration
        }

    @cached_property
    def _reference(self) -> dict[TensorKey, TensorRecord]:
        return _activations(self._evidence.reference, self._precision)

    @cached_property
    def _arrived(self) -> dict[TensorKey, TensorRecord]:
        return _activations(self._graft, self._precision) if self._graft else {}

    @cached_property
    def _names(self) -> dict[int, str]:
        """Order of a reference record that holds a tensor -> the tensor's name."""
        return {r.order: _name(r.key) for r in self._reference.values() if r.alias_of is None}

    @cached_property
    def _ours(self) -> list[tuple[int, TensorKey, Source]]:
        return [
            (record.order, key, _source(key, self._names[_root(record)], record, record.array))
            for key, record in self._reference.items()
        ]

    @cached_property
    def _theirs(self) -> list[tuple[int, TensorKey, Source]]:
        """What the candidate's modules were given, by the reference's names where paired."""
        by_candidate: dict[TensorKey, list[Pair]] = defaultdict(list)
        for pair in self._pairs.values():
            if not pair.others:
                by_candidate[pair.candidate.key].append(pair)
        found = []
        for key, record in self._arrived.items():
            pairs = by_candidate[replace(key, precision=Precision.NATIVE)]
            made = [self._taken(pair) for pair in pairs]
            sources = [source for source in made if source is not None]
            if not sources:
                sources = [_source(key, f"the candidate's {_name(key)}", record, record.array)]
            found += [(record.order, key, source) for source in sources]
        return found

    def _taken(self, pair: Pair) -> Source | None:
        """What the users of a paired tensor of the candidate got, in the reference's layout."""
        here = pair.among(self._reference, self._arrived, precision=self._precision)
        if here is None:
            return None
        ours, theirs = here.reference, here.candidate_values()
        name = self._names[_root(ours)]
        if self._is_native:
            return _source(ours.key, name, here.candidate, theirs)
        if ours.array.shape == theirs.shape:  # put in
            return _source(ours.key, name, here.candidate, ours.array)
        return _source(ours.key, f"the candidate's {name}", here.candidate, theirs)

    @cached_property
    def _reference_state(self) -> dict[str, Array]:
        return {pair.reference.key.name: pair.reference.array for pair in self._state_pairs()}

    @cached_property
    def _candidate_state(self) -> Mapping[str, Array]:
        return _Values({pair.reference.key.name: pair for pair in self._state_pairs()})

    def _state_pairs(self) -> Iterator[Pair]:
        for pair in self._evidence.pairing.pairs:
            key = pair.reference.key
            if key.kind in (Kind.PARAMETER, Kind.BUFFER) and not key.iteration:
                yield pair


@final
class _Values(Mapping[str, Array]):
    """The candidate's values in the reference's layout, made when they are asked for."""

    def __init__(self, pairs: Mapping[str, Pair]) -> None:
        self._pairs = pairs

    def __getitem__(self, name: str) -> Array:
        return self._pairs[name].candidate_values()

    def __iter__(self) -> Iterator[str]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)


def _activations(trace: Trace, precision: Precision) -> dict[TensorKey, TensorRecord]:
    """Activations of the first iteration in the order of capture."""
    return {
        record.key: record
        for record in trace.records
        if record.key.kind is Kind.ACTIVATION
        and not record.key.iteration
        and record.key.precision is precision
    }


def _source(key: TensorKey, name: str, record: TensorRecord, array: Array) -> Source:
    return Source(name, key.path, key.slot, record.module_type, array)


def _name(key: TensorKey) -> str:
    call = f" call {key.call}" if key.call else ""
    return f"{key.path or '(root)'} {key.slot}{call}"


def _root(record: TensorRecord) -> int:
    return record.order if record.alias_of is None else record.alias_of
