"""Judge one pair from its measurements: verdict, basis, and the used share of the allowance.

Every condition is phrased so that it must hold to pass, so NaN fails. The order of the rules is the
order of the functions below: structure, exactness, twins, tolerance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from portalign.compare.measure import dtype_family
from portalign.compare.tolerance import (
    FLOOR_EPS,
    ROUNDING_RATIO,
    SCALAR_EPS,
    TWIN_RELATIVE,
    TWIN_SCALE,
    asymmetry_of,
    epsilon,
)
from portalign.results import Basis, Measurement, Outcome, Tolerance, Verdict


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict before it knows the name of its pair; fields as in `Comparison`."""

    verdict: Verdict
    basis: Basis
    outcome: Outcome
    allowed: float
    used: float
    reason: str


def judge(
    native: Measurement,
    twin: Measurement | None = None,
    *,
    own_reference: float | None = None,
    own_candidate: float | None = None,
    tolerance: Tolerance,
    scale: float = 0.0,
    least: float = 0.0,
    asymmetry: float = 1.0,
    drift: float = 0.0,
    is_computed: bool = False,
) -> Judgement:
    """Decide what the difference of one pair is.

    Args:
        native: the pair as it ran.
        twin: the same pair lifted to float64 on both sides, or None. A twin that isn't float64 on
            both sides, or whose reference holds NaN, can't decide: the tolerance does, and the
            reason says so.
        own_reference, own_candidate: Frobenius norm of a side's distance to its own twin. Without
            both the twins can't explain the native difference, and the tolerance bounds it.
        tolerance: what decides where the twins can't.
        scale: typical Frobenius norm of like tensors around; floor for what is zero in theory.
            Native dtypes that differ are held to the finer one: a side that runs lower loses more.
        least: Frobenius norm that is rounding in any case where the twins agree: for kernels
            known to lose more than the own distances tell.
        asymmetry: how many times the smaller own distance the larger one may count. 1: the smaller
            one alone, for sides that lose alike. More: a free-running training, where drift makes
            the two independent samples. inf: the larger one, for a lone number.
        drift: Frobenius norm that twins may differ by besides: what became of faithful steps.
        is_computed: the sides computed the pair. Integers that differ then only natively may be
            a near tie, which rounding decides, so they decide nothing.
    """
    found = _structure(native, "")
    if found:
        return found
    if twin and not twin.n_nan_reference and _is_double(twin):
        allowed = TWIN_RELATIVE * twin.norm_reference + TWIN_SCALE * scale + drift
        found = _structure(twin, "float64 ") or _twins(native, twin, allowed)
        if found:
            return found
        note = ""
    else:
        note, twin = _why_not(twin), None
    if _is_exact(native):
        return _equal(native)
    if dtype_family(native.dtype_reference) in ("int", "bool"):
        return _near_tie(native) if twin and is_computed else _unequal_integers(native)
    if twin and own_reference is not None and own_candidate is not None:
        own = own_reference, own_candidate
        counted = _counted(*own, asymmetry_of(native.n_elements, asymmetry))
        allowed = ROUNDING_RATIO * counted + _floor(native, twin, scale)
        return _rounding(native, twin, *own, max(allowed, least))
    return _within(native, tolerance, note)


def _structure(pair: Measurement, what: str) -> Judgement | None:
    """Shapes, kinds of dtype, emptiness, NaN and infinities: no allowance can excuse those."""
    families = [dtype_family(name) for name in (pair.dtype_reference, pair.dtype_candidate)]
    if pair.shape_reference != pair.shape_candidate:
        return _failed(
            f"{what}shapes differ: {pair.shape_reference} against {pair.shape_candidate}."
        )
    if families[0] != families[1]:
        return _failed(
            f"{what}dtypes are of different kinds: {pair.dtype_reference} against "
            f"{pair.dtype_candidate}."
        )
    if pair.n_elements == 0:
        return _undecided(f"The {what}arrays are empty, so nothing was compared.")
    if pair.n_nan_reference:
        return _undecided(
            f"The {what}reference itself holds NaN in {pair.n_nan_reference} of {pair.n_elements} "
            "elements: it can't be the measure of anything."
        )
    if pair.n_nonfinite_mismatched != 0:
        return _failed(
            f"{pair.n_nonfinite_mismatched} of {pair.n_elements} {what}elements are NaN or "
            f"infinite on one side only, first at {list(pair.worst_index)}: "
            f"{pair.worst_reference:g} against {pair.worst_candidate:g}."
        )
    return None


def _twins(native: Measurement, twin: Measurement, allowed: float) -> Judgement | None:
    """Float64 twins that differ: not the same mathematics, whatever the native pair shows."""
    if dtype_family(twin.dtype_reference) in ("int", "bool"):
        allowed = 0.0
    if math.inf > twin.norm_difference <= allowed:  # a mask's norm may overflow on both sides
        return None
    hidden = (
        " although the native values are equal bit for bit: their precision hides it"
        if native.is_bitwise_equal
        else ""
    )
    return Judgement(
        Verdict.DIVERGENT,
        Basis.TWINS,
        Outcome.FAIL,
        allowed,
        _share(twin.norm_difference, allowed),
        f"In float64 the two sides differ by {twin.rel_frobenius:.2g} relative, where rounding "
        f"leaves at most {TWIN_RELATIVE:g}{hidden}: not the same mathematics. {_worst(twin)}",
    )


def _equal(native: Measurement) -> Judgement:
    if native.is_bitwise_equal:
        text = "Equal bit for bit."
        return Judgement(Verdict.IDENTICAL, Basis.BITS, Outcome.PASS, 0.0, 0.0, text)
    text = f"Equal values, {native.dtype_reference} against {native.dtype_candidate}."
    return Judgement(Verdict.CLOSE, Basis.BITS, Outcome.PASS, 0.0, 0.0, text)


def _unequal_integers(native: Measurement) -> Judgement:
    return Judgement(
        Verdict.DIVERGENT,
        Basis.BITS,
        Outcome.FAIL,
        0.0,
        math.inf,
        f"{native.n_mismatched} of {native.n_elements} {native.dtype_reference} elements differ, "
        f"and integers and bools must be equal. {_worst(native)}",
    )


def _near_tie(native: Measurement) -> Judgement:
    """Computed integers whose twins are equal (else `_twins` had failed them)."""
    return Judgement(
        Verdict.UNDECIDED,
        Basis.TWINS,
        Outcome.INCONCLUSIVE,
        0.0,
        math.inf,
        f"{native.n_mismatched} of {native.n_elements} {native.dtype_reference} elements differ, "
        "and none in float64: a near tie (argmax, top-k, a threshold) that rounding decides, or a "
        f"side that computes it in lower precision. {_worst(native)}",
    )


def _counted(own_reference: float, own_candidate: float, asymmetry: float) -> float:
    """The own distance that counts: the larger one, up to `asymmetry` times the smaller."""
    more, less = max(own_reference, own_candidate), min(own_reference, own_candidate)
    return more if math.isinf(asymmetry) else min(more, asymmetry * less)


def _floor(native: Measurement, twin: Measurement, scale: float) -> float:
    """What is allowed where the own distances are zero by luck or in theory."""
    if native.dtype_reference == native.dtype_candidate == "float64":
        return TWIN_RELATIVE * twin.norm_reference + TWIN_SCALE * scale
    n_eps = SCALAR_EPS if native.n_elements == 1 else FLOOR_EPS
    eps = epsilon(native.dtype_reference, native.dtype_candidate)
    return n_eps * eps * (native.norm_reference + scale)


def _rounding(
    native: Measurement,
    twin: Measurement,
    own_reference: float,
    own_candidate: float,
    allowed: float,
) -> Judgement:
    """The twins agree: is the native difference what each side loses to its own twin?"""
    used = _share(native.norm_difference, allowed)
    if native.norm_difference <= allowed:
        return Judgement(
            Verdict.ROUNDING,
            Basis.TWINS,
            Outcome.PASS,
            allowed,
            used,
            f"The float64 twins agree to {twin.rel_frobenius:.2g}, and the difference of "
            f"{native.rel_frobenius:.2g} is rounding: {used:.0%} of what is allowed.",
        )
    loser, more, less = max(
        ("reference", own_reference, own_candidate),
        ("candidate", own_candidate, own_reference),
        key=lambda side: side[1],
    )
    times = f"{more / less:.3g} times the other side's" if less > 0 else "the other side nothing"
    return Judgement(
        Verdict.PRECISION,
        Basis.TWINS,
        Outcome.FAIL,
        allowed,
        used,
        f"The float64 twins agree to {twin.rel_frobenius:.2g}, but the native difference of "
        f"{native.rel_frobenius:.2g} is {used:.3g} times what rounding explains: the {loser} loses "
        f"{more:.2g} against its own twin, {times}. {_worst(native)}",
    )


def _within(native: Measurement, tolerance: Tolerance, note: str) -> Judgement:
    allowed = tolerance.relative * native.norm_reference + tolerance.absolute
    used = _share(native.norm_difference, allowed)
    text = (
        f"{note}The relative difference is {native.rel_frobenius:.2g}, allowed is "
        f"{tolerance.relative:g} ({tolerance.source})"
    )
    if math.inf > native.norm_difference <= allowed:
        return Judgement(Verdict.CLOSE, Basis.TOLERANCE, Outcome.PASS, allowed, used, f"{text}.")
    return Judgement(
        Verdict.DIVERGENT,
        Basis.TOLERANCE,
        Outcome.FAIL,
        allowed,
        used,
        f"{text}: {used:.3g} times too much. {_worst(native)}",
    )


def _is_exact(native: Measurement) -> bool:
    """Equal bytes, or equal integers of different widths."""
    is_integer = dtype_family(native.dtype_reference) in ("int", "bool")
    return native.is_bitwise_equal or (is_integer and native.n_mismatched == 0)


def _is_double(twin: Measurement) -> bool:
    """Both sides were lifted; integers and bools have nothing to lift."""
    is_integer = dtype_family(twin.dtype_reference) in ("int", "bool")
    lifted = ("float64", "complex128")
    return is_integer or (twin.dtype_reference in lifted and twin.dtype_candidate in lifted)


def _why_not(twin: Measurement | None) -> str:
    if twin is None:
        return ""
    if twin.n_nan_reference:
        return "The reference's float64 twin holds NaN, so a tolerance decides. "
    return (
        f"The float64 twin stayed behind ({twin.dtype_reference} against {twin.dtype_candidate}), "
        "so a tolerance decides. "
    )


def _share(difference: float, allowed: float) -> float:
    """Used share of the allowance; 0 of 0 is 0, something of 0 is infinite."""
    if allowed == 0:
        return 0.0 if difference == 0 else math.inf
    return difference / allowed


def _worst(pair: Measurement) -> str:
    return (
        f"Worst at {list(pair.worst_index)}: {pair.worst_reference:.9g} against "
        f"{pair.worst_candidate:.9g}."
    )


def _failed(reason: str) -> Judgement:
    reason = reason[0].upper() + reason[1:]
    return Judgement(Verdict.DIVERGENT, Basis.STRUCTURE, Outcome.FAIL, 0.0, math.inf, reason)


def _undecided(reason: str) -> Judgement:
    return Judgement(
        Verdict.UNDECIDED, Basis.STRUCTURE, Outcome.INCONCLUSIVE, 0.0, math.nan, reason
    )
