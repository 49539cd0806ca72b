"""What initial state that differs is of the reference's: rounded, scaled, another tensor's.

State that each side brings or computes by itself is compared before anything runs. The simplest
relation that gives the candidate's values from the reference's, or the other way round, is named;
it must hold for every element.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import ml_dtypes
import numpy as np

from portalign.diagnose.evidence import Evidence, Numbers
from portalign.diagnose.transforms import of_order
from portalign.findings import Finding, FindingKind, Origin, OriginKind
from portalign.mapping.pair import Pair
from portalign.records import Array, Kind

_LOW = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16}
# Of a relation that was computed in float32 on both sides: 6e-8 each. The smallest difference that
# is a fault of its own, a bfloat16 rounding, leaves 1e-3.
_EXACT = 1e-6
_OUTSIDE = "it is in no state dict, so no checkpoint brings it right"
_FEW = 4  # rates that must be powers of one base; two always are


@dataclass(frozen=True, slots=True)
class Relation:
    """How the candidate's values come from the reference's.

    Attributes:
        rule: short name.
        text: the candidate's values are the reference's ...
        left: relative difference (Frobenius) that remains once the relation is undone.
        remedy: what the porter types.
        fitted: values that were read off.
    """

    rule: str
    text: str
    left: float
    remedy: str
    fitted: tuple[tuple[str, float], ...] = ()


def explain_state(evidence: Evidence) -> dict[str, Finding]:
    """Findings on initial parameters and buffers, by the label of the origin."""
    pairs = {
        pair.label: pair
        for pair in evidence.pairing.pairs
        if pair.reference.key.kind in (Kind.PARAMETER, Kind.BUFFER)
        and not pair.reference.key.iteration
    }
    others = {label: pair.reference.array for label, pair in pairs.items()}
    info = evidence.reference.info
    state = info.structure.state if info and info.structure else ()
    outside = {each.name for each in state if not each.persistent}
    found = {}
    for origin in evidence.divergence.places:
        pair = pairs.get(origin.label)
        if origin.kind is OriginKind.STATE and pair is not None:
            relation = related(
                pair.reference.array, pair.candidate_values(), others=_but(others, origin.label)
            )
            if relation is not None:
                finding = _finding(origin, pair, relation)
                if pair.reference.key.name in outside:
                    finding = replace(finding, remedy=f"{finding.remedy}; {_OUTSIDE}")
                found[origin.label] = finding
    return found


def related(
    reference: Array, candidate: Array, *, others: Mapping[str, Array] | None = None
) -> Relation | None:
    """The simplest relation between two arrays of one shape that differ; None if there is none.

    Args:
        others: further arrays of the reference by name; the candidate may hold one of those.

    NaN anywhere, or equal arrays, give None.
    """
    ours, theirs = np.asarray(reference, np.float64), np.asarray(candidate, np.float64)
    if ours.shape != theirs.shape or not ours.size or np.array_equal(ours, theirs):
        return None
    candidates = _relations(reference, candidate, ours, theirs, others or {})
    return next((one for one in candidates if one.left <= _EXACT), None)


def _relations(
    reference: Array, candidate: Array, ours: Numbers, theirs: Numbers, others: Mapping[str, Array]
) -> Iterator[Relation]:
    for name, low in _LOW.items():
        again = "compute or load it in full precision, or put it back after the cast"
        if np.array_equal(_rounded(reference, low), theirs):
            yield Relation("state-rounded", f"rounded through {name}, bit for bit", 0.0, again)
        if np.array_equal(_rounded(candidate, low), ours):
            text = f"what they were before the reference rounded them through {name}, bit for bit"
            yield Relation("state-rounded", text, 0.0, "round it as the reference does")
    if not theirs.any() or (theirs == 1.0).all():
        what = "zeros" if not theirs.any() else "ones"
        yield Relation("state-initial", f"not there: all {what}", 0.0, "load or compute it")
    if ours.ndim == 2 and ours.shape[0] == ours.shape[1]:
        yield Relation("state-transposed", "transposed", _left(ours.T, theirs), "transpose it")
    if permuted := of_order(ours, theirs):
        remedy = "bring them into the reference's order when they are loaded"
        yield Relation("state-permuted", f"in another order: {permuted.detail}", 0.0, remedy)
    yield from _powers(ours, theirs)
    yield from _scaled_by_parts(ours, theirs)
    for name, other in others.items():
        if other.shape == theirs.shape and np.array_equal(other, candidate):
            yield Relation("state-swapped", f"those of {name}", 0.0, f"load it, not {name}")
    if ours.any():
        factor = float((ours * theirs).sum() / (ours * ours).sum())
        text, fitted = f"multiplied by {factor:.6g}", (("factor", factor),)
        yield Relation("state-scaled", text, _left(ours * factor, theirs), "undo it", fitted)
    shift = float((theirs - ours).mean())
    text, fitted = f"plus {shift:.6g}", (("shift", shift),)
    yield Relation("state-shifted", text, _left(ours + shift, theirs), "undo it", fitted)


def _powers(ours: Numbers, theirs: Numbers) -> Iterator[Relation]:
    """Rates of rotary positions: powers -2i/d of a base, for i = 0 to d/2."""
    if ours.ndim != 1 or len(ours) < _FEW or not all((each > 0).all() for each in (ours, theirs)):
        return
    powers = -np.arange(len(ours)) / len(ours)
    bases = [float(each[-1] ** (1 / powers[-1])) for each in (ours, theirs)]
    if _left(bases[0] ** powers, ours) <= _EXACT:
        meant = [float(f"{base:.5g}") for base in bases]  # 6e-8 of a rate is 6e-7 of a base of 1e5
        yield Relation(
            "state-base",
            f"with another rotary base: {meant[1]:.10g}, in the reference {meant[0]:.10g}",
            _left(bases[1] ** powers, theirs),
            f"set the base (rope_theta) to {meant[0]:.10g}",
            (("reference base", meant[0]), ("candidate base", meant[1])),
        )


def _scaled_by_parts(ours: Numbers, theirs: Numbers) -> Iterator[Relation]:
    """Rotary frequencies as long contexts stretch them: the fast ones stay, the slow ones are
    divided, and between them the share grows with the frequency (Llama 3) or its number (YaRN).
    """
    if ours.ndim != 1 or len(ours) < _FEW or not (ours > 0).all() or not (theirs > 0).all():
        return
    is_theirs = theirs[-1] < ours[-1]
    plain, scaled = (ours, theirs) if is_theirs else (theirs, ours)
    ratios = scaled / plain
    kept, divided = (np.abs(ratios / each - 1.0) <= _EXACT for each in (1.0, ratios[-1]))
    if not (ratios[-1] < 1.0 - _EXACT and kept[:2].all() and divided[-2:].all()):
        return
    shares = (ratios - ratios[-1]) / (1.0 - ratios[-1])
    between = ~kept & ~divided
    for ramp in (plain, np.arange(len(plain), dtype=np.float64)):
        made = np.where(kept, 1.0, 0.0)
        if between.any():
            columns = np.stack([ramp[between], np.ones(int(between.sum()))], axis=1)
            fit = np.linalg.lstsq(columns, shares[between], rcond=None)[0]
            made[between] = columns @ fit
        how = "scaled by parts" if is_theirs else "what they were before it scaled them by parts"
        yield Relation(
            "state-scaling",
            f"{how}: the first {int(kept.sum())} frequencies as they are, the last "
            f"{int(divided.sum())} divided by {1 / ratios[-1]:.6g}",
            _left(plain * (ratios[-1] + made * (1.0 - ratios[-1])), scaled),
            "give both sides the same rope_scaling",
            (("factor", 1 / float(ratios[-1])),),
        )


def _but(arrays: Mapping[str, Array], label: str) -> dict[str, Array]:
    return {name: array for name, array in arrays.items() if name != label}


def _rounded(array: Array, low: type) -> Numbers:
    return np.asarray(array, np.float32).astype(low).astype(np.float64)


def _left(found: Numbers, target: Numbers) -> float:
    norm = float(np.linalg.norm(target))
    return float(np.linalg.norm(found - target)) / (norm or 1.0)


def _finding(origin: Origin, pair: Pair, relation: Relation) -> Finding:
    ours = np.asarray(pair.reference.array, np.float64)
    before = _left(np.asarray(pair.candidate_values(), np.float64), ours)
    fallen = "nothing" if relation.left == 0.0 else f"{relation.left:.1e}"
    return Finding(
        rule=relation.rule,
        kind=FindingKind.CAUSE,
        where=(origin.label,),
        claim=f"the candidate's values are the reference's {relation.text}",
        evidence=f"done to the reference's, the difference falls from {before:.1e} to {fallen}",
        remedy=relation.remedy,
        fitted=dict(relation.fitted),
        before=before,
        after=relation.left,
        is_confirmed=True,
    )
