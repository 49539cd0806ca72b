"""Fit one number of a computation to what was made, by damped Gauss-Newton steps.

One number against thousands of elements is overdetermined: where the computation is the right one,
the fit leaves nothing but rounding, and where it isn't, it can't pretend.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from portalign.diagnose.evidence import Numbers

_STEPS = 25
_HALVINGS = 12
_NUDGE = 1e-6  # of the number, for the derivative; 1e-6 itself where the number is 0


def fitted(
    make: Callable[[float], Numbers], target: Numbers, guess: float, *, is_log: bool = False
) -> float:
    """The number near a guess with which `make` comes closest to the target.

    Args:
        make: the computation with that number; may raise ValueError.
        guess: where to start; positive with `is_log`.
        is_log: step in its logarithm, for a number whose size is unknown.

    Returns:
        The number; NaN where the computation gives nothing finite at the guess.
    """

    def off(place: float) -> Numbers | None:
        with np.errstate(all="ignore"):
            try:
                made = make(math.exp(place) if is_log else place)
            except (ValueError, OverflowError):
                return None
        if made.shape != target.shape:
            return None
        gap = np.where(made == target, 0.0, made - target).ravel()
        return gap if np.isfinite(gap).all() else None

    place = math.log(guess) if is_log else guess
    gap = off(place)
    if gap is None:
        return math.nan
    size = float(gap @ gap)
    for _ in range(_STEPS):
        nudge = _NUDGE * (abs(place) or 1.0)
        beside = off(place + nudge)
        if beside is None or size == 0.0:
            break
        slope = (beside - gap) / nudge
        steepness = float(slope @ slope)
        if not steepness > 0:
            break
        step = -float(slope @ gap) / steepness
        moved = _moved(off, place, step, size)
        if moved is None:
            break
        place, gap, size = moved
    return math.exp(place) if is_log else place


def _moved(
    off: Callable[[float], Numbers | None], place: float, step: float, size: float
) -> tuple[float, Numbers, float] | None:
    """The first of ever shorter steps that comes closer; None if none does."""
    for _ in range(_HALVINGS):
        gap = off(place + step)
        if gap is not None and float(gap @ gap) < size:
            return place + step, gap, float(gap @ gap)
        step /= 2
    return None
