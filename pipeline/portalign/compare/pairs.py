"""From two arrays to a `Comparison`: measure the pair, its twins and their losses, then judge.

The one way in for every step and for two foreign files alike; it holds no rule of its own.
"""

from __future__ import annotations

import math
from dataclasses import replace

from portalign.compare.drift import twin_drift, unless_chaotic
from portalign.compare.judge import judge
from portalign.compare.measure import measure
from portalign.compare.norms import distance
from portalign.compare.tolerance import for_dtype
from portalign.records import Array, Kind, TensorKey
from portalign.results import (
    Basis,
    Comparison,
    Measurement,
    Outcome,
    Reservation,
    Tolerance,
    Unpaired,
    Verdict,
    worst,
)


def compare(
    reference: Array,
    candidate: Array,
    *,
    key: TensorKey,
    candidate_key: TensorKey | None = None,
    label: str = "",
    how_paired: str = "name",
    twins: tuple[Array, Array] | None = None,
    tolerance: Tolerance | None = None,
    scale: float = 0.0,
    asymmetry: float = 1.0,
    may_drift: bool = False,
    module_type: str = "",
    order: int = 0,
) -> Comparison:
    """Measure and judge one pair of arrays, both already in the same layout.

    Args:
        reference: native values.
        candidate: native values, same shape expected.
        twins: float64 values of both sides, where both were captured.
        tolerance: what decides without twins, by default `for_dtype` of the reference and
            `scale`. One that is given is also allowed where twins agree, whatever each side loses.
        scale, asymmetry: as in `judge`.
        may_drift: every step that led here is known to be faithful (see `drift.twin_drift`).
    """
    native = measure(reference, candidate)
    twin = measure(*twins) if twins else None
    own: list[float | None] = [None, None]
    if twins and not native.is_bitwise_equal:
        own = [
            _own(side, lifted) for side, lifted in zip((reference, candidate), twins, strict=True)
        ]
    found = judge(
        native,
        twin,
        own_reference=own[0],
        own_candidate=own[1],
        tolerance=tolerance
        or for_dtype(native.dtype_reference, scale=scale, is_gradient=key.kind is Kind.GRADIENT),
        scale=scale,
        least=_allowance(tolerance, native) if tolerance else 0.0,
        asymmetry=asymmetry,
        drift=twin_drift(native, own) if may_drift else 0.0,
        is_computed=key.kind in (Kind.ACTIVATION, Kind.OUTPUT),
    )
    if may_drift:
        found = unless_chaotic(found, native, own)
    return Comparison(
        key=key,
        candidate_key=candidate_key or key,
        label=label or key.name,
        how_paired=how_paired,
        verdict=found.verdict,
        basis=found.basis,
        outcome=found.outcome,
        native=native,
        twin=twin,
        own_reference=own[0],
        own_candidate=own[1],
        allowed=found.allowed,
        used=found.used,
        reason=found.reason,
        module_type=module_type,
        order=order,
    )


def _allowance(tolerance: Tolerance, native: Measurement) -> float:
    return tolerance.relative * native.norm_reference + tolerance.absolute


def as_data(found: Comparison) -> Comparison:
    """Hold a pair to the bytes: data is copied and not computed, so close is not equal.

    A passing pair that isn't bitwise equal (another dtype, a last digit, -0.0) becomes DIVERGENT.
    """
    if found.outcome is not Outcome.PASS or found.verdict is Verdict.IDENTICAL:
        return found
    native = found.native
    dtypes = (native.dtype_reference, native.dtype_candidate)
    what = (
        f"the dtypes are {dtypes[0]} against {dtypes[1]}"
        if dtypes[0] != dtypes[1]
        else f"{max(native.n_mismatched, 1)} of {native.n_elements} elements are other bytes"
    )
    return replace(
        found,
        verdict=Verdict.DIVERGENT,
        basis=Basis.BITS,
        outcome=Outcome.FAIL,
        allowed=0.0,
        used=math.inf,
        reason=f"Both sides must be fed the same bytes, and {what}.",
    )


def _own(side: Array, lifted: Array) -> float | None:
    """Distance of a side to its twin; None where no finite number tells it."""
    found = distance(side, lifted)
    return found if math.isfinite(found) else None


def overall(
    comparisons: tuple[Comparison, ...],
    unpaired: tuple[Unpaired, ...] = (),
    reservations: tuple[Reservation, ...] = (),
) -> Outcome:
    """The outcome of many pairs: the worst of them.

    INCONCLUSIVE at best where nothing was compared, where a promised record stands on one side
    only, or where there is a reservation.
    """
    outcomes = [comparison.outcome for comparison in comparisons]
    outcomes += [Outcome.INCONCLUSIVE for record in unpaired if record.is_promised]
    outcomes += [Outcome.INCONCLUSIVE for _ in reservations]
    return worst(outcomes)
