"""What the metric step compares beyond its curves: predictions whose batch has no twin, metrics of
each side's own predictions, and metrics that were refused or mean nothing on a crafted case.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from portalign.compare.tolerance import ROUNDING_RATIO, for_dtype
from portalign.mapping.pair import Pair
from portalign.records import Kind, Role, TensorKey, Trace
from portalign.results import Basis, Comparison, Outcome, Tolerance, Verdict

OWN, SHARED = "own", "shared"
# Rounding of scores turns over pairs that nearly tie, and AUC counts pairs: random scores of 4000
# samples that differ by 1e-6 move it by up to 5e-7, by 1e-5 (the float32 tolerance) 1.3e-6, and by
# bfloat16's 8e-3 9e-5, which stays undecided. Its implementations agree to 1e-12 on equal scores.
OWN_AUC = 1e-5


def allowance(pair: Pair, before: Iterable[Comparison]) -> Tolerance | None:
    """What a prediction without a twin may differ by: what twins showed to be rounding before.

    Args:
        pair: a pair without twins.
        before: the comparisons so far. Of those of the same prediction that twins let pass, the
            largest relative difference counts, times `ROUNDING_RATIO`.

    Returns:
        Never less than the tolerance of the dtypes; None where no twin tells anything.
    """
    key = pair.reference.key
    seen = [
        found.native.rel_frobenius
        for found in before
        if found.key.kind is Kind.PREDICTION is key.kind
        and found.key.name == key.name
        and found.basis is not Basis.TOLERANCE
        and found.twin is not None
        and found.outcome is Outcome.PASS
    ]
    usual = for_dtype(pair.reference.dtype)
    needed = ROUNDING_RATIO * max(seen, default=0.0)
    if not needed > usual.relative:
        return None
    source = f"{ROUNDING_RATIO:g} times the rounding in the batches that have float64 twins"
    return Tolerance(needed, 0.0, source)


def is_crafted(key: TensorKey) -> bool:
    """Whether this is a metric of predictions made up to tell two implementations apart."""
    return key.kind is Kind.METRIC and key.slot not in (OWN, SHARED)


def is_undefined(pair: Pair) -> bool:
    """Whether a crafted case means nothing to this metric: NaN on both sides, as AUC of one class.

    Predictions that aren't crafted are never excused.
    """
    sides = (pair.reference, pair.candidate)
    return all(
        is_crafted(record.key) and record.array.size == 1 and math.isnan(record.array.item())
        for record in sides
    )


def left_out(pairs: Iterable[Pair], sides: Sequence[Trace]) -> tuple[str, ...]:
    """A note for each crafted case that was not compared, and why.

    Args:
        pairs: those for which `is_undefined` holds.
        sides: reference and candidate, for what each refused.
    """
    undefined = [
        f"{pair.reference.key} is not compared: it is NaN on both sides, undefined for this case"
        for pair in pairs
    ]
    refused = [
        f"{skipped.key} is not compared, the {role.value} refused it: {skipped.reason}"
        for role, trace in zip(Role, sides, strict=True)
        for skipped in trace.skipped
        if is_crafted(skipped.key)
    ]
    return (*undefined, *refused)


def settle_near_ties(comparisons: tuple[Comparison, ...]) -> tuple[Comparison, ...]:
    """Don't fail a metric for what rounding of the predictions does to near ties.

    A metric of each side's own predictions that differs becomes UNDECIDED when data and predictions
    all pass and the metric itself agrees on shared and crafted predictions; CLOSE where it is an
    AUC within `OWN_AUC`.
    """
    fed = [c for c in comparisons if c.key.kind in (Kind.INPUT, Kind.PREDICTION)]
    if not any(c.key.kind is Kind.PREDICTION for c in fed) or not _all_pass(fed):
        return comparisons
    return tuple(_settled(found, comparisons) for found in comparisons)


def _settled(found: Comparison, comparisons: Sequence[Comparison]) -> Comparison:
    key, native = found.key, found.native
    if key.kind is not Kind.METRIC or key.slot != OWN or found.outcome is not Outcome.FAIL:
        return found
    others = [c for c in comparisons if c.key.kind is Kind.METRIC and c.key.path == key.path]
    others.remove(found)
    shared = any(c.key.slot == SHARED for c in others)
    if not shared or not _all_pass(others) or not math.isfinite(native.norm_difference):
        return found
    why = (
        "Inputs and predictions agree and so does this metric on shared predictions, so what "
        "differs is how rounding breaks near ties of each side's own scores"
    )
    if key.path == "auc" and native.norm_difference <= OWN_AUC:
        return replace(
            found,
            verdict=Verdict.CLOSE,
            outcome=Outcome.PASS,
            allowed=OWN_AUC,
            used=native.norm_difference / OWN_AUC,
            reason=f"{why}: {native.norm_difference:.2g}, allowed for AUC is {OWN_AUC:g}.",
        )
    text = f"{found.reason} {why}. Run more batches, or a model whose scores lie farther apart."
    return replace(found, verdict=Verdict.UNDECIDED, outcome=Outcome.INCONCLUSIVE, reason=text)


def _all_pass(comparisons: Iterable[Comparison]) -> bool:
    return all(found.outcome is Outcome.PASS for found in comparisons)
