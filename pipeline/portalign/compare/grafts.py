"""Read the grafted pass: every failure in it is an origin, because nothing upstream reaches it.

What arrives wrong at a module comes from the code in front of it (glue), what a module without
inner modules returns wrong is its own, what one with inner modules returns wrong comes from its
code after the last of them. A gradient that arrives wrong comes from what consumed the tensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from portalign.compare.absent import absent_gradients
from portalign.compare.consumers import consumers_of, given_out, glue_consumers, roots_of
from portalign.compare.pairs import compare
from portalign.compare.scales import Scales
from portalign.findings import Origin, OriginKind
from portalign.mapping.pair import Pair, Pairing
from portalign.records import Kind, TensorKey, Trace
from portalign.results import Comparison, Divergence, Outcome, Verdict

_GRAFTED = (Kind.ACTIVATION, Kind.LOSS, Kind.GRADIENT)
_STATE = (Kind.PARAMETER, Kind.BUFFER)
_SELF_MADE = (Kind.INPUT, Kind.DRAW, Kind.LR, Kind.METRIC)


@final
@dataclass(frozen=True, slots=True)
class Grafted:
    """One comparison of the grafted pass with the pair it belongs to."""

    pair: Pair
    comparison: Comparison

    @property
    def key(self) -> TensorKey:
        """The reference's key."""
        return self.pair.reference.key

    @property
    def is_wrong(self) -> bool:
        """The candidate's own computation differs here."""
        return self.comparison.outcome is Outcome.FAIL


def compare_grafted(pairing: Pairing, graft: Trace) -> tuple[Grafted, ...]:
    """Compare what arrived in the grafted pass with the reference's records, in their order.

    Args:
        pairing: pairs of the ordinary captures.
        graft: the trace of the pass, under the candidate's keys.
    """
    records = graft.by_key()
    found = []
    for pair in pairing.pairs:
        if pair.reference.key.kind not in _GRAFTED or pair.reference.key.iteration:
            continue
        lifted = pairing.twin(pair) or pair
        arrived = lifted.among({lifted.reference.key: lifted.reference}, records)
        if arrived is not None:
            found.append((pair, arrived))
    scales = Scales(one for _, one in found)
    return tuple(Grafted(pair, _compared(pair, one, scales.of(one))) for pair, one in found)


def origins(
    grafted: Sequence[Grafted],
    reference: Trace,
    pairing: Pairing,
    *,
    harmless: frozenset[int] = frozenset(),
) -> tuple[Origin, ...]:
    """Name every origin, forward ones first, each once.

    Args:
        grafted: what `compare_grafted` found.
        reference: the reference's trace: its aliases tell which modules share a tensor.
        pairing: of the ordinary captures; it tells which gradients the candidate lacks.
        harmless: reference tensors whose difference has no effect, by the order of their records.
    """
    forward = [one for one in grafted if one.key.kind is Kind.ACTIVATION]
    named = _forward_origins(forward, roots_of(reference), harmless)
    loss = [
        Origin(one.comparison.label, OriginKind.LOSS, one.key.path)
        for one in grafted
        if one.key.kind is Kind.LOSS and one.is_wrong
    ]
    consumers = consumers_of(reference)
    wrong = {path for path, _ in named}  # its backward is wrong for the same reason
    lacking = absent_gradients(pairing, consumers, grafted={one.key for one in grafted})
    absent = {path: origin for path, origin in lacking.items() if path not in wrong}
    glued = glue_consumers(reference, consumers, compared={one.key.path for one in forward})
    spoilt = frozenset(place for place, paths in glued.items() if wrong.intersection(paths))
    explained = spoilt | (given_out(reference) if loss else frozenset())
    backward = _backward_origins(grafted, wrong | absent.keys(), consumers, explained)
    return _each_once([*named.values(), *loss, *absent.values(), *backward])


def with_grafts(
    found: Divergence, comparisons: Sequence[Comparison], grafted: Sequence[Origin]
) -> Divergence:
    """Put the grafted pass's origins in place of those that were read off the order of events.

    What the pass can't see (batches, learning rates, initial weights, the optimizer, and in its
    float64 a lost precision) keeps its place. Without a single origin from the pass everything
    stays as it was.
    """
    if not grafted:
        return found
    unseen = {
        one.label
        for one in comparisons
        if one.key.kind in _SELF_MADE or (one.key.kind in _STATE and not one.key.iteration)
    }
    imprecise = {one.label for one in comparisons if one.verdict is Verdict.PRECISION}
    kept = [one for one in found.places if one.label in unseen]
    native_only = [p for p in found.places if p.label in imprecise and p.label not in unseen]
    places = _each_once([*kept, *grafted, *native_only])
    labels = tuple(one.label for one in places)
    failing = [one.label for one in comparisons if one.outcome is Outcome.FAIL]
    return Divergence(
        origins=labels,
        inherited=tuple(label for label in failing if label not in labels),
        unresolved=(),
        first=found.first,
        places=places,
    )


def _each_once(places: Sequence[Origin]) -> tuple[Origin, ...]:
    found: dict[str, Origin] = {}
    for one in places:
        found.setdefault(one.label, one)
    return tuple(found.values())


def _compared(pair: Pair, one: Pair, scale: float) -> Comparison:
    return compare(
        one.reference.array,
        one.candidate_values(),
        key=one.reference.key,
        candidate_key=one.candidate.key,
        label=pair.label,
        how_paired=pair.how,
        scale=scale,
        module_type=one.reference.module_type,
    )


def _forward_origins(
    forward: Sequence[Grafted], roots: Mapping[TensorKey, int], harmless: frozenset[int]
) -> dict[tuple[str, int], Origin]:
    """(module path, call) -> the origin; one per tensor, however many modules read it."""
    paths = {one.key.path for one in forward}
    named: dict[tuple[str, int], Origin] = {}
    seen: set[int] = set(harmless)
    before = ""
    for one in forward:
        key = one.key
        root = roots[key]
        if one.is_wrong and root not in seen and (key.path, key.call) not in named:
            label = forward_label(one, paths, before)
            kind = OriginKind.GLUE if label.startswith("glue ") else OriginKind.MODULE
            named[key.path, key.call] = Origin(
                label, kind, key.path, key.slot, key.call, after=before
            )
        if one.is_wrong:
            seen.add(root)
        if key.slot.startswith("out."):
            before = key.path
    return named


def forward_label(one: Grafted, paths: set[str], before: str) -> str:
    """Name an origin in the forward pass.

    Args:
        one: what is wrong there.
        paths: of all compared modules.
        before: the compared module that returned last before it; "" if none did.
    """
    path = one.key.path or "(root)"
    after = f" after {before}" if before else ""
    if one.key.slot.startswith("in."):
        return f"glue before {path} {one.key.slot}{',' + after if after else ''}"
    prefix = f"{one.key.path}." if one.key.path else ""
    has_inner = any(other != one.key.path and other.startswith(prefix) for other in paths)
    return f"glue in {path}{after}" if has_inner else one.comparison.label


def _backward_origins(
    grafted: Sequence[Grafted],
    blamed: set[str],
    consumers: Mapping[tuple[str, str, int], tuple[str, ...]],
    explained: frozenset[tuple[str, str, int]],
) -> Iterator[Origin]:
    """Modules and glue whose backward is wrong although their forward is right.

    A wrong loss explains the gradients of what the model gives out, under all of its names.
    """
    gradients = [one for one in grafted if one.key.kind is Kind.GRADIENT and one.is_wrong]
    own: dict[str, Origin] = {}
    for one in gradients:
        path, slot = one.key.path, one.key.slot
        if not slot.startswith("out.") and path not in blamed:
            label = f"backward of {path}: {one.comparison.label}"
            own.setdefault(path, Origin(label, OriginKind.BACKWARD, path, slot))
    yield from own.values()
    blamed = blamed | own.keys()
    for one in gradients:
        key = one.key
        place = (key.path, key.slot, key.call)
        if not key.slot.startswith("out.") or place in explained:
            continue
        used_by = consumers.get(place, ())
        if key.path and any(_is_near(path, blamed) for path in used_by):
            continue
        label = f"backward of {used_by[0]}" if len(used_by) == 1 else f"backward after {key.path}"
        yield Origin(
            label if key.path else "backward of the loss",
            OriginKind.BACKWARD,
            used_by[0] if len(used_by) == 1 else key.path,
            key.slot,
            key.call,
            after=key.path,
        )


def _is_near(path: str, blamed: set[str]) -> bool:
    """A blamed module, or one that holds a blamed module."""
    return any(other == path or other.startswith(f"{path}.") for other in blamed)
