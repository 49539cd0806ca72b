"""How fast the two free-running trainings part, and whether rounding alone does as much.

From comparisons only. Every iteration multiplies what is there by some factor, so the differences
lie on a line over the iterations when their logarithm is taken; its slope is that factor.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from portalign.compare.drift import twin_drift
from portalign.compare.tolerance import ROUNDING_RATIO, TWIN_RELATIVE
from portalign.findings import Growth
from portalign.records import Kind
from portalign.results import Comparison

_POINTS = 3  # that a line needs to mean anything
_Norm = Callable[[Comparison], float | None]


def growth(comparisons: Sequence[Comparison]) -> Growth | None:
    """Fit how the two sides part over the training iterations.

    By the weights where they were kept after at least three iterations, else by the loss. None for
    a step that doesn't train, or with too few iterations. Differences of zero are left out.
    """
    trained = [one for one in comparisons if one.key.iteration]
    for kind, what in ((Kind.PARAMETER, "weights"), (Kind.LOSS, "loss")):
        found = _fitted([one for one in trained if one.key.kind is kind], what)
        if found is not None:
            return found
    return None


def _fitted(comparisons: Sequence[Comparison], what: str) -> Growth | None:
    by_iteration: dict[int, list[Comparison]] = defaultdict(list)
    for one in comparisons:
        by_iteration[one.key.iteration].append(one)
    if len(by_iteration) < _POINTS:
        return None
    order = sorted(by_iteration)
    native, float64, rounding = (
        tuple(_relative(by_iteration[k], of) for k in order) for of in (_native, _twin, _own)
    )
    return Growth(
        what=what,
        iterations=tuple(order),
        native=native,
        float64=float64,
        rounding=rounding,
        native_factor=_factor(order, native),
        float64_factor=_factor(order, float64),
        rounding_factor=_factor(order, rounding),
        is_rounding=native[-1] <= ROUNDING_RATIO * rounding[-1]
        and _twins_allow(by_iteration[order[-1]]),
    )


def _twins_allow(comparisons: Sequence[Comparison]) -> bool:
    """The float64 twins are no farther apart than what became of the rounding of one unit; true
    where there are none. A fault may be no larger than the drift that rounding makes.
    """
    if any(one.twin is None for one in comparisons):
        return True
    apart = math.hypot(*(one.twin.norm_difference for one in comparisons if one.twin))
    size = math.hypot(*(one.native.norm_reference for one in comparisons))
    drift = [twin_drift(one.native, (one.own_reference, one.own_candidate)) for one in comparisons]
    return apart <= max(TWIN_RELATIVE * size, math.hypot(*drift))  # NaN is not


def _native(one: Comparison) -> float | None:
    return one.native.norm_difference


def _twin(one: Comparison) -> float | None:
    return one.twin.norm_difference if one.twin else None


def _own(one: Comparison) -> float | None:
    """The larger distance of a side to its own twin; equal bits were not asked for theirs."""
    known = [each for each in (one.own_reference, one.own_candidate) if each is not None]
    return max(known, default=0.0 if one.native.is_bitwise_equal else None)


def _relative(comparisons: Sequence[Comparison], of: _Norm) -> float:
    """All tensors as one; NaN where some have no such number."""
    norms = [of(one) for one in comparisons]
    known = [each for each in norms if each is not None]
    if len(known) < len(norms):
        return math.nan
    size = math.hypot(*(one.native.norm_reference for one in comparisons))
    return math.hypot(*known) / size if size else math.nan


def _factor(iterations: Sequence[int], values: Sequence[float]) -> float:
    """Times by which the values grow with each iteration; NaN with too few of them."""
    points = [
        (float(k), math.log(value))
        for k, value in zip(iterations, values, strict=True)
        if math.isfinite(value) and value > 0
    ]
    if len(points) < _POINTS:
        return math.nan
    x, y = np.array(points).T
    x -= x.mean()
    return math.exp(float(x @ y / (x @ x)))
