"""Judge numbers that are computed and not learned, learning rates and metrics, one by one.

A norm over a whole curve would hide a wrong tail, where the learning rate is a millionth of its
peak; so each point has its own allowance.
"""

from __future__ import annotations

import numpy as np

from portalign.compare.measure import measure
from portalign.records import Array, TensorKey
from portalign.results import Basis, Comparison, Outcome, Verdict

# Schedules and metrics are a few operations in double: curves of 14 schedules agree to 1.4e-17
# across frameworks, and to 1e-16 where a recurrence meets a closed form. 1e-9 of each value is far
# above both, and far below an off-by-one at a warm-up of a million steps (1e-6).
RELATIVE = 1e-9
# Near the end of a decay the value itself vanishes and the recurrence's roundings stay: 1e-16 of
# the peak each, over thousands of steps.
OF_PEAK = 1e-12


def compare_curve(
    reference: Array,
    candidate: Array,
    *,
    key: TensorKey,
    label: str,
    how_paired: str,
    order: int = 0,
) -> Comparison:
    """Compare two curves [n] (or single numbers) point by point, each relative to its own size.

    NaN in the candidate fails, and so do unequal lengths. NaN in the reference is undecided where
    all other points agree; so are empty curves.
    """
    native = measure(reference, candidate)
    verdict, outcome, used, reason = _judge(np.asarray(reference), np.asarray(candidate))
    if native.is_bitwise_equal and outcome is Outcome.PASS:
        verdict, reason = Verdict.IDENTICAL, "Equal bit for bit."
    return Comparison(
        key=key,
        candidate_key=key,
        label=label,
        how_paired=how_paired,
        verdict=verdict,
        basis=Basis.BITS if verdict is Verdict.IDENTICAL else Basis.TOLERANCE,
        outcome=outcome,
        native=native,
        twin=None,
        own_reference=None,
        own_candidate=None,
        allowed=RELATIVE * native.norm_reference,
        used=used,
        reason=reason,
        order=order,
    )


def _judge(reference: Array, candidate: Array) -> tuple[Verdict, Outcome, float, str]:
    if reference.shape != candidate.shape:
        text = f"Lengths differ: {reference.shape} against {candidate.shape}."
        return Verdict.DIVERGENT, Outcome.FAIL, float("inf"), text
    left = reference.astype(np.float64).ravel()
    right = candidate.astype(np.float64).ravel()
    if not left.size:
        text = "The curve is empty, so nothing was compared."
        return Verdict.UNDECIDED, Outcome.INCONCLUSIVE, float("nan"), text
    known = ~np.isnan(left)
    n_unknown, left, right = int((~known).sum()), left[known], right[known]
    if not left.size:
        return _unknown(n_unknown, reference.size)
    allowed = RELATIVE * np.abs(left) + OF_PEAK * np.abs(left).max()
    difference = np.abs(left - right)
    close = difference <= allowed  # NaN is not
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(difference == 0, 0.0, difference / allowed)
    used = float(np.nan_to_num(shares, nan=np.inf).max())
    if close.all() and n_unknown:
        return _unknown(n_unknown, reference.size)
    if close.all():
        text = f"Every point agrees within {RELATIVE:g} of its value."
        return Verdict.CLOSE, Outcome.PASS, used, text
    first, n_off = int(np.argmin(close)), int((~close).sum())
    at = f"first at point {np.flatnonzero(known)[first]}, " if reference.size > 1 else ""
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = float(np.abs(difference[~close] / left[~close]).max())
    text = (
        f"{n_off} of {reference.size} differ, {at}{left[first]:.9g} against {right[first]:.9g}; "
        f"the largest relative difference is {relative:.3g}."
    )
    return Verdict.DIVERGENT, Outcome.FAIL, used, text


def _unknown(n_unknown: int, size: int) -> tuple[Verdict, Outcome, float, str]:
    where = f" at {n_unknown} of {size} points" if size > 1 else ""
    text = f"The reference itself is NaN{where}: it can't be the measure of anything."
    return Verdict.UNDECIDED, Outcome.INCONCLUSIVE, float("nan"), text
