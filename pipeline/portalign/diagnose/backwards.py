"""See a gradient that begins to differ from both sides: what each made of the same gradients.

In the grafted pass the reference's gradients are put in at every module boundary, so a gradient
that arrives wrong was made wrong by what lies between. Gradients and activations of the reference
are the sources on both sides. A gradient that never came is zeros.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from portalign.diagnose.confirm import Cause, Proposal, needed, relative
from portalign.diagnose.evidence import Numbers, Site, Source, View
from portalign.findings import Origin
from portalign.mapping.pair import Pair, Pairing
from portalign.records import Array, Kind, Precision, TensorKey, TensorRecord, Trace
from portalign.request import Json

_FEW = 64
GRADIENT = "grad "  # begins the name of a source that is a gradient


@final
@dataclass(frozen=True, slots=True)
class Gradients:
    """What the reference recorded and what arrived in the grafted pass, in one precision.

    Attributes:
        state: the reference's parameters and buffers by full name.
    """

    pairing: Pairing
    reference: Trace
    candidate: Trace
    graft: Trace
    precision: Precision
    state: Mapping[str, Array]

    def among(self, pair: Pair) -> Pair | None:
        """The pair as the grafted pass has it; None where one side has nothing there."""
        records = ({r.key: r for r in trace.records} for trace in (self.reference, self.graft))
        return pair.among(*records, precision=self.precision)


def backward_site(given: Gradients, origin: Origin) -> Site | None:
    """The site of a gradient; None where the reference has none or the pass didn't compare it."""
    is_inner = origin.slot.startswith("out.")
    path = origin.after if is_inner else origin.path
    key = TensorKey(Kind.GRADIENT, path, origin.slot, origin.call)
    ours = _first(given.reference, replace(key, precision=given.precision))
    if ours is None:
        return None
    theirs = _arrived(given, key, ours)
    if theirs is None:
        return None
    sources = tuple(_sources(given, path, origin.call, is_own=not is_inner))
    forward = _first(given.reference, replace(ours.key, kind=Kind.ACTIVATION))
    own = (_forward(forward),) if forward else ()
    views = (
        View(
            made,
            own,
            sources,
            given.state,
            origin.path,
            ours.module_type,
            settings,
            made.dtype.name,
        )
        for made, settings in zip((ours.array, theirs), _trainable(given, origin), strict=True)
    )
    return Site(origin, *views)


def few_rows(values: Numbers) -> Numbers:
    """Evenly spaced rows of an array [..., width], to try on what is proved on all of it."""
    rows = values.reshape(-1, values.shape[-1]) if values.ndim else values.reshape(1, 1)
    chosen = np.linspace(0, max(len(rows) - 1, 0), min(len(rows), _FEW)).astype(int)
    return np.asarray(rows[chosen])


def is_gradient(source: Source) -> bool:
    """It flows backward."""
    return source.name.startswith(GRADIENT)


def lacking(site: Site) -> str:
    """The side whose gradient is all zeros while the other's isn't; "" for none."""
    ours, theirs = (bool(view.target.any()) for view in (site.reference, site.candidate))
    return "" if ours == theirs else "candidate" if ours else "reference"


def of_nothing(site: Site, cause: Cause, guesses: Iterable[Numbers]) -> Proposal:
    """A proposal for a gradient that is all zeros on one side: what the other side has, computed.

    Args:
        guesses: what it may be, made of other tensors; where none is it, the proposal is a hint.
    """
    is_reference = lacking(site) == "reference"
    whole = (site.candidate if is_reference else site.reference).target
    for made in guesses:
        if relative(made, whole) <= needed(site):
            nothing = np.zeros_like(made)
            modelled, repaired = (made, nothing) if is_reference else (nothing, made)
            return Proposal((cause,), modelled=modelled, repaired=repaired)
    return Proposal(
        (cause,),
        modelled=site.candidate.target,
        repaired=site.reference.target,
        is_computed=False,
    )


def _arrived(given: Gradients, key: TensorKey, ours: TensorRecord) -> Array | None:
    """The candidate's gradient in the reference's layout, zeros where it has none."""
    pair = next((p for p in given.pairing.pairs if p.reference.key == key), None)
    if pair is None or not np.any(pair.candidate.array):
        return np.zeros_like(ours.array)
    here = given.among(pair)
    return None if here is None else here.candidate_values()


def _sources(given: Gradients, path: str, call: int, *, is_own: bool) -> Iterator[Source]:
    """Gradients of what is made later, nearest first, then all activations, the latest first.

    Args:
        is_own: with those of what the module itself makes.
    """
    made = {
        (r.key.path, r.key.slot, r.key.call): r.order
        for r in given.reference.records
        if r.key.kind is Kind.ACTIVATION and r.key.precision is given.precision
    }
    here = [order for (p, slot, n), order in made.items() if _is_of(p, slot, n, path, call)]
    start = min(here, default=-1)
    gradients, forward = [], []
    for record in given.reference.records:
        key = record.key
        if key.iteration or key.precision is not given.precision or not key.slot:
            continue
        if key.kind is Kind.GRADIENT and key.slot.startswith("out."):
            order = made.get((key.path, key.slot, key.call), -1)
            if order > start or (is_own and order == start):
                source = _forward(record)
                gradients.append((order, replace(source, name=GRADIENT + source.name)))
        elif key.kind is Kind.ACTIVATION and (record.alias_of is None or key.path == path):
            forward.append(_forward(record))
    yield from (source for _, source in sorted(gradients, key=lambda one: one[0]))
    yield from reversed(forward)


def _forward(record: TensorRecord) -> Source:
    key = record.key
    name = f"{key.path or '(root)'} {key.slot}"
    return Source(name, key.path, key.slot, record.module_type, record.array)


def _is_of(path: str, slot: str, number: int, wanted: str, call: int) -> bool:
    return path == wanted and number == call and slot.startswith("out.")


def _trainable(given: Gradients, origin: Origin) -> Iterator[dict[str, Json]]:
    """Whether each side's optimizer may change the parameter; nothing where it is none."""
    key = TensorKey(Kind.PARAMETER, origin.path, origin.slot)
    pair = next((p for p in given.pairing.pairs if p.reference.key == key), None)
    names = (pair.reference.key.name, pair.candidate.key.name) if pair else ("", "")
    for name, trace in zip(names, (given.reference, given.candidate), strict=True):
        structure = trace.info.structure if trace.info else None
        found = [s.trainable for s in structure.state if s.name == name] if structure else []
        yield {"trainable": found[0]} if found else {}


def _first(trace: Trace, key: TensorKey) -> TensorRecord | None:
    return next((record for record in trace.records if record.key == key), None)
