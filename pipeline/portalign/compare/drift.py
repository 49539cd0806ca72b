"""Where two faithful sides lose precision unlike each other, and how much of that is allowed."""

from __future__ import annotations

import math

from portalign.compare.draws import TERMS
from portalign.compare.tolerance import (
    CLIP_COEFFICIENT,
    DRIFT_ASYMMETRY,
    FIRST_UPDATE_ASYMMETRY,
)
from portalign.mapping.pair import Pair
from portalign.records import Kind, TensorKey
from portalign.results import Tolerance


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


def kernel_tolerance(key: TensorKey) -> Tolerance | None:
    """What the kernels behind a number lose at any size; None where own distances tell."""
    if key.kind is Kind.DRAW:
        return TERMS
    is_clipping = key.kind is Kind.GRADIENT_NORM and key.slot == "clip_coefficient"
    return CLIP_COEFFICIENT if is_clipping else None
