"""Find where differences begin, from comparisons alone.

What this can tell: which module's own computation differs although its recorded inputs agree, which
glue (code between modules) a first difference comes out of, and which link of a training iteration
breaks first: data, weights, forward, loss, gradient, clipping, LR, update. What it can't: see a
second defect behind a first one, because what a differing input does to an output and what the
module itself does are one difference there; such pairs count as inherited. Running the candidate
on the reference's recorded tensors separates them. Nor does it know the data flow: "before" means
earlier in the execution order of the reference, so of two parallel branches the later may be
called inherited.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from portalign.compare.places import (
    Run,
    fails,
    is_after_rate,
    is_initial_state,
    is_input,
    is_of_given_scores,
    link,
)
from portalign.findings import Origin, OriginKind
from portalign.records import Kind
from portalign.results import Comparison, Divergence, Outcome

_KINDS = {
    Kind.INPUT: OriginKind.DATA,
    Kind.PREDICTION: OriginKind.DATA,
    Kind.METRIC: OriginKind.DATA,
    Kind.LR: OriginKind.DATA,
    Kind.ACTIVATION: OriginKind.MODULE,
    Kind.OUTPUT: OriginKind.GLUE,
    Kind.LOSS: OriginKind.LOSS,
    Kind.GRADIENT: OriginKind.BACKWARD,
}


class _Place(Enum):
    ORIGIN = "origin"
    INHERITED = "inherited"
    GLUE = "glue"
    UNKNOWN = "unknown"


def locate(comparisons: Iterable[Comparison]) -> Divergence:
    """Sort every failing pair into origins, inherited and unresolved, each in execution order.

    - Batches, initial parameters and buffers, and learning rates are origins by themselves; a
      learning rate that fails again in a later iteration inherits from the first.
    - A module output is an origin if every recorded input of that call passes, no initial
      parameter or buffer within the module fails and nothing recorded inside it fails; else it
      inherits. Without any decided input it is an origin only if no activation fails before it,
      else unresolved.
    - A module input that fails before any other activation, and a model output that fails although
      every activation passes, is glue: unresolved, as "glue before fc, after norm out.0: fc in.0".
    - The earliest failing gradient of the backward pass is an origin if all links before it pass;
      later ones inherit.
    - Any other value (loss, clipping, optimizer state, updated weights) is an origin if all links
      before it pass. When something is trained, whatever fails in an earlier iteration is before
      it; batches that are only run forward don't feed each other.
    - A metric comes after all batches: of a side's own predictions it inherits from any of them
      that fails; of given predictions (shared ones, crafted ones) it is an origin by itself.

    Pairs that could not be decided are in no list; with no failing pair all lists are empty.
    """
    everything = list(comparisons)
    run = Run(everything)
    failing = sorted((one for one in everything if fails(one)), key=run.position)
    places = [_place(one, failing[:at], run) for at, one in enumerate(failing)]

    def labels(*wanted: _Place) -> tuple[str, ...]:
        return tuple(
            run.glue(one) if place is _Place.GLUE else one.label
            for one, place in zip(failing, places, strict=True)
            if place in wanted
        )

    return Divergence(
        origins=labels(_Place.ORIGIN),
        inherited=labels(_Place.INHERITED),
        unresolved=labels(_Place.GLUE, _Place.UNKNOWN),
        first=failing[0].label if failing else None,
        places=tuple(
            _origin(one)
            for one, place in zip(failing, places, strict=True)
            if place is _Place.ORIGIN
        ),
    )


def _origin(one: Comparison) -> Origin:
    """A failing pair that differs by its own doing, as a place."""
    key = one.key
    kind = _KINDS.get(key.kind, OriginKind.TRAINING)
    if is_initial_state(one):
        kind = OriginKind.STATE
    if key.kind is Kind.ACTIVATION and is_input(one):
        kind = OriginKind.GLUE
    return Origin(one.label, kind, key.path, key.slot, key.call, key.iteration)


def _place(one: Comparison, earlier: list[Comparison], run: Run) -> _Place:
    """Place a failing pair, given the failing pairs that come before it."""
    kind = one.key.kind
    if kind in (Kind.INPUT, Kind.DRAW) or is_initial_state(one):
        return _Place.ORIGIN
    if kind is Kind.LR:
        return _inherits(any(other.key.kind is Kind.LR for other in earlier))
    before = [other for other in earlier if _feeds(other, one, run)]
    if any(link(other)[0] < link(one)[0] for other in before):
        return _Place.INHERITED
    if kind is Kind.ACTIVATION:
        return _place_input(one, before, run) if is_input(one) else _place_output(one, run)
    if kind is Kind.OUTPUT and not before:
        return _Place.GLUE
    return _inherits(bool(before))


def _feeds(other: Comparison, one: Comparison, run: Run) -> bool:
    """`other` fails in a link before `one`, and a difference there can reach it."""
    if one.key.kind is Kind.METRIC:
        return not is_of_given_scores(one) and other.key.kind is not Kind.METRIC
    if link(other)[0] < link(one)[0]:
        return run.is_training
    if other.key.kind is Kind.LR:
        return is_after_rate(one)
    return link(other) < link(one) or one.key.kind is Kind.GRADIENT


def _place_input(one: Comparison, before: list[Comparison], run: Run) -> _Place:
    is_fed = any(other.key.kind is Kind.INPUT for other in before)
    if is_fed or run.fails_before(one) or run.fails_around(one):
        return _Place.INHERITED
    return _Place.GLUE


def _place_output(one: Comparison, run: Run) -> _Place:
    inputs = run.inputs(one)
    if any(map(fails, inputs)) or run.fails_inside(one):
        return _Place.INHERITED
    if inputs and all(each.outcome is Outcome.PASS for each in inputs):
        return _Place.ORIGIN
    return _Place.UNKNOWN if run.fails_before(one) else _Place.ORIGIN


def _inherits(is_fed: bool) -> _Place:
    return _Place.INHERITED if is_fed else _Place.ORIGIN
