"""Training without float64 twins: the size of a difference doesn't tell drift from a fault.

From equal weights two faithful sides in float32 differ by 1e-6, and a tolerance can say so. Once
each trains on weights of its own, the difference grows with the training and not with the port:
seen over ten iterations of right ports, 4e-5 (BERT base, AdamW at 2e-5) to 3e-1 (the loss of a
ResNet-18, AdamW at 1e-3). What tells are the state-grafted iterations, which begin at equal state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from portalign.compare.drift import CHAOTIC, comes_of_faithful, is_trained
from portalign.compare.iterations import Iterations
from portalign.results import Basis, Comparison, Outcome, Verdict


def settle_drift(comparisons: Sequence[Comparison], chain: Iterations) -> tuple[Comparison, ...]:
    """Judge again what a tolerance failed in a later training iteration, for want of twins.

    CLOSE where every iteration that was gone through from the reference's own state does the same,
    up to the one that made it; as it was where one of them is at fault; else undecided.
    """
    return tuple(_settled(one, chain) for one in comparisons)


def _settled(one: Comparison, chain: Iterations) -> Comparison:
    is_failed = one.basis is Basis.TOLERANCE and one.verdict is Verdict.DIVERGENT
    if not (is_failed and one.twin is None and one.key.iteration and is_trained(one.key)):
        return one
    relative = one.native.rel_frobenius
    if not comes_of_faithful(one.key, chain.n_checked):
        return one if chain.faults else _undecided(one, "it was not gone through from equal state")
    if relative <= CHAOTIC:
        return replace(
            one,
            verdict=Verdict.CLOSE,
            outcome=Outcome.PASS,
            allowed=CHAOTIC * one.native.norm_reference,
            used=relative / CHAOTIC,
            reason=f"The relative difference is {relative:.2g}, more than the {_allowed(one)} of "
            "equal weights; each iteration that was gone through from the reference's own state "
            "does the same, so it is drift.",
        )
    return _undecided(one, f"a difference of {relative:.2g} shows a chaotic training")


def _undecided(one: Comparison, why: str) -> Comparison:
    relative = one.native.rel_frobenius
    return replace(
        one,
        verdict=Verdict.UNDECIDED,
        outcome=Outcome.INCONCLUSIVE,
        reason=f"The relative difference is {relative:.2g}, more than the {_allowed(one)} of equal "
        f"weights, and without float64 twins drift can't be told from a fault: {why}. Turn twins "
        "on, keep every iteration (`record: all`), or run fewer.",
    )


def _allowed(one: Comparison) -> str:
    size = one.native.norm_reference
    return f"{one.allowed / size:.2g}" if size else "0"
