"""A candidate that brought its own, rewritten weights and computes the same distribution.

Libraries fold norms into what reads them and take out means that a later norm or the softmax takes
out anyway. Then nearly every tensor differs and nothing is wrong. That is said only where the
outputs show it: they agree, or differ by one constant along the last axis of each position, which
no softmax sees. The weights were rewritten in their own precision, so even the float64 twins agree
only to its rounding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from portalign.diagnose.evidence import Evidence
from portalign.diagnose.own_weights import OwnWeights
from portalign.diagnose.transforms import Numbers, Transform
from portalign.findings import Finding, FindingKind
from portalign.mapping.pair import Pair, Pairing
from portalign.records import Array, Kind
from portalign.results import Comparison, Divergence, Outcome, Verdict

RULE = "rewritten-weights"
GAUGE_RULE = "constant-per-position"
# Of the logits' norm, the constant included: rewriting in float32 leaves 6e-8 in a small GPT-2 and
# 5e-8 in the published one.
_LEFT = 1e-6
_MEANING = "compare log-softmax or the loss instead of logits; no allclose on logits can pass"
_REASON = "Differs because the candidate's weights were rewritten; the outputs are equivalent."


@final
@dataclass(frozen=True, slots=True)
class Settled:
    """Comparisons, divergence and findings once the equivalence is known."""

    comparisons: tuple[Comparison, ...]
    divergence: Divergence
    findings: tuple[Finding, ...]


def settle_rewritten(evidence: Evidence) -> Settled | None:
    """Settle a step whose candidate computes the same from rewritten weights of its own.

    Args:
        evidence: of a forward step whose port says ``weights: {carry: false}``.

    Returns:
        None where the outputs don't agree up to a constant per position, or where there are no
        float64 twins to tell. Weights that no transform explains keep failing, and the divergence
        stays as it is.
    """
    failing = [c for c in evidence.comparisons if c.outcome is Outcome.FAIL]
    pairs = {each.label: each for each in evidence.pairing.pairs}
    outputs = [c for c in evidence.comparisons if c.key.kind is Kind.OUTPUT]
    gauges = [_gauge(c, pairs[c.label], evidence.pairing) for c in outputs if c in failing]
    if not failing or not outputs or None in gauges:
        return None
    state = OwnWeights.of(evidence, n_vocabulary=_n_vocabulary(outputs))
    changes = {c.label: state.change(pairs[c.label]) for c in failing if c.key in state.initial}
    explained = {label: change for label, change in changes.items() if change}
    unexplained = [label for label in changes if label not in explained]
    named = [*filter(None, gauges), *_rewritings(explained), *_alone(state.unmatched())]
    if unexplained:
        return Settled(evidence.comparisons, evidence.divergence, tuple(named))
    settled = tuple(_passed(c) if c in failing else c for c in evidence.comparisons)
    return Settled(settled, Divergence(), tuple(named))


def _n_vocabulary(outputs: Sequence[Comparison]) -> int:
    shapes = [c.native.shape_reference for c in outputs]
    return max((shape[-1] for shape in shapes if len(shape) > 1), default=0)


def _passed(one: Comparison) -> Comparison:
    return replace(one, verdict=Verdict.EQUIVALENT, outcome=Outcome.PASS, reason=_REASON)


def _gauge(one: Comparison, pair: Pair, pairing: Pairing) -> Finding | None:
    """The finding that an output differs by a constant per position, if that is all."""
    twin = pairing.twin(pair)
    if twin is None or twin.reference.array.ndim < 2:
        return None
    reference = np.asarray(twin.reference.array, np.float64)
    difference = reference - np.asarray(twin.candidate_values(), np.float64)
    shift = difference.mean(-1, keepdims=True)
    norm = float(np.linalg.norm(reference))
    centred = float(np.linalg.norm(reference - reference.mean(-1, keepdims=True)))
    before = float(np.linalg.norm(difference)) / norm if centred else np.nan
    after = float(np.linalg.norm(difference - shift)) / norm if centred else np.nan
    if not after <= _LEFT:  # NaN: the reference has nothing but a constant
        return None
    if before <= _LEFT:
        return _agreeing(one, before)
    return _shifted(one, pair, shift, before=before, after=after)


def _agreeing(one: Comparison, left: float) -> Finding:
    return Finding(
        rule=RULE,
        kind=FindingKind.EQUIVALENCE,
        where=(one.label,),
        claim=f"{one.label} agrees to {left:.1e}, which is what rewriting weights in their own "
        "precision leaves",
        after=left,
        is_confirmed=True,
    )


def _shifted(
    one: Comparison, pair: Pair, shift: Numbers, *, before: float, after: float
) -> Finding:
    sides = (pair.reference.array, pair.candidate_values())
    native = np.asarray(sides[0], np.float64) - np.asarray(sides[1], np.float64)
    constant = native.mean(-1, keepdims=True)
    residual = np.abs(native - constant).max() / np.abs(constant).max()
    apart = np.abs(_log_softmax(sides[0]) - _log_softmax(sides[1])).max()
    low, high = float(shift.min()), float(shift.max())
    return Finding(
        rule=GAUGE_RULE,
        kind=FindingKind.EQUIVALENCE,
        where=(one.label,),
        claim=f"{one.label} differs by one constant per position ({low:.4g} to {high:.4g}): both "
        "sides give the same distribution",
        evidence=f"without the constant the float64 difference falls from {before:.1e} to "
        f"{after:.1e}; natively {residual:.1e} of the constant remains and log-softmax agrees to "
        f"{apart:.1e}",
        remedy=_MEANING,
        fitted={"smallest constant": low, "largest constant": high},
        before=before,
        after=after,
        is_confirmed=True,
    )


def _log_softmax(values: Array) -> Numbers:
    logits = np.asarray(values, np.float64)
    logits = logits - logits.max(-1, keepdims=True)
    found: Numbers = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return found


def _rewritings(explained: Mapping[str, Transform]) -> Iterator[Finding]:
    """One finding for each kind of rewriting, with all tensors it was done to."""
    grouped: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for label, change in explained.items():
        grouped[change.kinds].append(label)
    for kinds, labels in grouped.items():
        changes = [explained[label] for label in labels]
        yield _rewriting(kinds, tuple(labels), changes)


def _alone(found: Iterator[tuple[str, str, Transform]]) -> Iterator[Finding]:
    """The same for candidate tensors that had no partner."""
    grouped: dict[tuple[str, ...], list[tuple[str, str, Transform]]] = defaultdict(list)
    for name, source, change in found:
        grouped[change.kinds].append((name, source, change))
    for kinds, each in grouped.items():
        labels = tuple(f"{name} from {source}" for name, source, _ in each)
        yield _rewriting(kinds, labels, [change for _, _, change in each])


def _rewriting(
    kinds: tuple[str, ...], labels: tuple[str, ...], changes: Sequence[Transform]
) -> Finding:
    worst = max(change.left for change in changes)
    example = f"{labels[0]}: {changes[0].detail}" if changes[0].detail else labels[0]
    return Finding(
        rule=RULE,
        kind=FindingKind.EQUIVALENCE,
        where=labels,
        claim=f"{len(labels)} weights were rewritten ({', '.join(kinds)}); {example}",
        evidence=f"done to the reference's weights, the same leaves at most {worst:.1e} relative",
        after=worst,
        is_confirmed=True,
    )
