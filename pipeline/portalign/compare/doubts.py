"""Which rules of `vacuity` a step is asked, and with which of its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from portalign.compare import vacuity
from portalign.mapping.pair import Pair
from portalign.records import Array, Kind, SideInfo, Step
from portalign.results import Comparison, Reservation

_PROMISED = {
    Step.FORWARD: (Kind.PARAMETER, Kind.OUTPUT, Kind.ACTIVATION),
    Step.METRIC: (Kind.INPUT, Kind.PREDICTION, Kind.METRIC),
    Step.LR_SCHEDULER: (Kind.LR,),
    Step.BACKWARD: (Kind.LOSS, Kind.PARAMETER, Kind.LR),
}
Found = Iterator[Reservation | None]


def doubts(
    port: Mapping[str, object],
    step: Step,
    pairs: Sequence[Pair],
    comparisons: Sequence[Comparison],
    sides: Sequence[SideInfo],
) -> tuple[Reservation, ...]:
    """Ask a step whether it could have failed at all.

    Args:
        port: the port file as plain data, `Port.as_dict`.
        step: which step.
        pairs: everything that was paired.
        comparisons: everything that was judged.
        sides: reference, candidate.
    """
    found = [*_always(port, step, comparisons, sides), *_ASKED[step](port, pairs, comparisons)]
    return tuple(reservation for reservation in found if reservation is not None)


def _always(
    port: Mapping[str, object],
    step: Step,
    comparisons: Sequence[Comparison],
    sides: Sequence[SideInfo],
) -> Found:
    kinds = frozenset(comparison.key.kind for comparison in comparisons)
    yield vacuity.missing_kinds(kinds, _PROMISED[step])
    yield vacuity.loss_alone(kinds)
    if step is not Step.LR_SCHEDULER:  # no model is built there
        yield vacuity.same_side(sides[0], sides[1], _declared(port))


def _declared(port: Mapping[str, object]) -> tuple[str, str]:
    names = []
    for role in ("reference", "candidate"):
        side = port.get(role)
        names.append(str(side.get("framework", "")) if isinstance(side, Mapping) else "")
    return names[0], names[1]


def _forward(
    port: Mapping[str, object], pairs: Sequence[Pair], comparisons: Sequence[Comparison]
) -> Found:
    for pair in pairs:
        if pair.reference.key.kind is Kind.OUTPUT:
            yield vacuity.loose_tolerance(pair.label, pair.reference.array, _mean(port))


def _mean(port: Mapping[str, object]) -> float:
    """What the community's log is judged by."""
    tolerance = port.get("tolerance")
    return float(tolerance.get("mean", 0.0)) if isinstance(tolerance, Mapping) else 0.0


def _values(pairs: Sequence[Pair], kind: Kind) -> Array:
    """All of the reference's numbers of a kind, in order [n]."""
    found = [np.ravel(p.reference.array) for p in pairs if p.reference.key.kind is kind]
    return np.concatenate(found) if found else np.empty(0)


def _metric(
    port: Mapping[str, object], pairs: Sequence[Pair], comparisons: Sequence[Comparison]
) -> Found:
    n_classes = _predicted_classes(pairs)
    for pair in pairs:
        key = pair.reference.key
        if key.kind is Kind.METRIC and key.slot == "own" and pair.reference.array.size == 1:
            value = float(pair.reference.array.item())
            yield vacuity.saturated_metric(key.path, value, n_classes)
    yield vacuity.boundless_tolerance("metric", _values(pairs, Kind.METRIC), _mean(port))


def _predicted_classes(pairs: Sequence[Pair]) -> int:
    """How many classes the reference's predictions name; 0 if they aren't rows of class scores."""
    scores = [p.reference.array for p in pairs if p.reference.key.kind is Kind.PREDICTION]
    if not scores or any(array.ndim != 2 or array.shape[1] < 2 for array in scores):
        return 0
    return len(np.unique(np.concatenate([array.argmax(axis=1) for array in scores])))


def _lr_scheduler(
    port: Mapping[str, object], pairs: Sequence[Pair], comparisons: Sequence[Comparison]
) -> Found:
    scheduler = port.get("lr_scheduler")
    is_meant = isinstance(scheduler, Mapping) and scheduler.get("name") == "constant"
    for pair in pairs:
        if pair.reference.key.kind is Kind.LR and not is_meant:
            yield vacuity.constant_curve(
                pair.reference.array,
                what="learning rate",
                needed="a scheduler that is never stepped looks the same on both sides. Step it, "
                "or name it `constant` if that is meant",
            )
    rates = _values(pairs, Kind.LR)
    yield vacuity.boundless_tolerance("learning rate", rates, _mean(port))


def _backward(
    port: Mapping[str, object], pairs: Sequence[Pair], comparisons: Sequence[Comparison]
) -> Found:
    losses = _values(pairs, Kind.LOSS)
    yield vacuity.constant_curve(
        losses,
        what="loss",
        needed="a training that doesn't move hides every fault in what moves it. Check data, "
        "learning rate and loss",
    )
    yield vacuity.boundless_tolerance("loss", losses, _mean(port))
    yield vacuity.zero_gradients(comparisons)
    yield vacuity.unmoved_weights(*_before_and_after(pairs))


def _before_and_after(pairs: Sequence[Pair]) -> tuple[dict[str, Array], dict[str, Array]]:
    weights = [p.reference for p in pairs if p.reference.key.kind is Kind.PARAMETER]
    last = max((record.key.iteration for record in weights), default=0)
    before = {r.key.name: r.array for r in weights if r.key.iteration == 0}
    after = {r.key.name: r.array for r in weights if r.key.iteration == last and last > 0}
    return before, after


_ASKED: dict[
    Step, Callable[[Mapping[str, object], Sequence[Pair], Sequence[Comparison]], Found]
] = {
    Step.FORWARD: _forward,
    Step.METRIC: _metric,
    Step.LR_SCHEDULER: _lr_scheduler,
    Step.BACKWARD: _backward,
}
