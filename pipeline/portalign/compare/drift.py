"""Where two faithful sides lose precision unlike each other, and how much of that is allowed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from portalign.compare.draws import TERMS
from portalign.compare.judge import Judgement
from portalign.compare.tolerance import (
    CLIP_COEFFICIENT,
    DRIFT_ASYMMETRY,
    FIRST_UPDATE_ASYMMETRY,
    TWIN_RELATIVE,
    epsilon,
)
from portalign.mapping.pair import Pair
from portalign.records import Kind, TensorKey
from portalign.results import Basis, Measurement, Outcome, Tolerance, Verdict

_TRAINED = (Kind.LOSS, Kind.GRADIENT, Kind.GRADIENT_NORM, Kind.PARAMETER, Kind.BUFFER)
# A ResNet-18 under momentum 0.01 in train mode: rounding alone moves the loss by 2.0e-1 in ten
# iterations, and its twins still agree to 8e-8. So nothing is lost at a tenth where they do agree.
CHAOTIC = 0.1


def asymmetry(pair: Pair) -> float:
    """`judge`'s asymmetry: 1 on equal weights, more once each side trains on weights of its own.

    Infinite for a single number of a later iteration, which is close to its twin by luck as often
    as not; the weights and gradients beside it show what it can't.
    """
    key = pair.reference.key
    if key.iteration == 0 or key.kind is Kind.INPUT:
        return 1.0
    if key.iteration == 1 and key.kind in (Kind.PARAMETER, Kind.BUFFER):
        return FIRST_UPDATE_ASYMMETRY
    return DRIFT_ASYMMETRY if pair.reference.array.size > 1 else math.inf


def is_trained(key: TensorKey) -> bool:
    """Its value comes of the training."""
    return key.kind in _TRAINED


def comes_of_faithful(key: TensorKey, n_faithful: int) -> bool:
    """It is of a training iteration, and all that made it are among the first `n_faithful`."""
    if not key.iteration or not is_trained(key):
        return False
    is_state = key.kind in (Kind.PARAMETER, Kind.BUFFER)
    return key.iteration <= n_faithful - (0 if is_state else 1)


def twin_drift(native: Measurement, own: Sequence[float | None]) -> float:
    """How far twins may be apart (Frobenius norm) once each trained on weights of its own.

    On equal weights they may differ by `TWIN_RELATIVE`, a side from its own twin by half a unit of
    its dtype. Training makes either grow alike, so what became of the one tells what may become of
    the other: a sixtieth of a side's distance to its twin for float32. Measured over ten iterations
    of a ResNet-18 under AdamW at 1e-3 in train mode: own distance 6.5e-2, twins 5e-11 apart; under
    momentum 0.01, with a coefficient that only one side kept in float32, 2.0e-1 and 8e-8.
    """
    unit = epsilon(native.dtype_reference, native.dtype_candidate) / 2
    known = [each for each in own if each is not None]
    return TWIN_RELATIVE / unit * max(known, default=0.0) if unit else 0.0


def unless_chaotic(found: Judgement, native: Measurement, own: Sequence[float | None]) -> Judgement:
    """Twins that came apart prove nothing where rounding alone has changed a tenth of the tensor.

    A side's distance to its twin can't grow any more then, and no longer tells what twins may do.
    """
    known = [each for each in own if each is not None]
    is_lost = max(known, default=0.0) >= CHAOTIC * native.norm_reference
    if not (is_lost and found.basis is Basis.TWINS and found.verdict is Verdict.DIVERGENT):
        return found
    return replace(
        found,
        verdict=Verdict.UNDECIDED,
        outcome=Outcome.INCONCLUSIVE,
        reason="Every link of the iterations before agrees on the reference's own state, but this "
        f"training is chaotic: rounding alone changes it by {max(known):.2g} of "
        f"{native.norm_reference:.2g} here, so the free run can't tell. Run fewer iterations, or "
        "lower the learning rate.",
    )


def kernel_tolerance(key: TensorKey) -> Tolerance | None:
    """What the kernels behind a number lose at any size; None where own distances tell."""
    if key.kind is Kind.DRAW:
        return TERMS
    is_clipping = key.kind is Kind.GRADIENT_NORM and key.slot == "clip_coefficient"
    return CLIP_COEFFICIENT if is_clipping else None
