"""Fit the scale of attention scores, and a soft-cap or slopes on them, to attention weights.

Few numbers against all weights. Scale and slopes are linear in the logarithms; for a cap a grid
finds where to start, and damped Gauss-Newton steps do the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

from portalign.diagnose.evidence import Numbers

# Solved weights are right to some 1e-15, so the logarithm of one of 1e-6 is right to 1e-9.
_LEAST = 1e-6
EXACT = 1e-6  # left by a fit of the right kind: 1e-9 above; a cap of 50 on scores of 1 leaves 1e-4
_STEPS, _HALVINGS = 60, 12
_NUDGE = 1e-6  # of the logarithms, for their derivatives
_GRID = 15  # starts for each of the two numbers


@final
@dataclass(frozen=True, slots=True)
class Fit:
    """Scores are `scale` times the products, soft-capped at `cap`, lowered with the distance.

    Attributes:
        slopes: of every head, times the distance of query and key; () for none.
        left: what the fit leaves of the logarithms, relative, each weighted by its weight.
    """

    scale: float
    cap: float | None
    left: float
    slopes: tuple[float, ...] = ()


def fit_scores(
    raw: Numbers, weights: Numbers, *, is_capped: bool = False, is_sloped: bool = False
) -> Fit | None:
    """Fit the scale, or with it a cap or a slope for every head.

    Args:
        raw: products of query and key, [batch, heads, queries, keys].
        weights: attention weights of the same shape; NaN where unknown.

    Returns:
        None where no query looks at two keys, or the products differ nowhere.
    """
    with np.errstate(invalid="ignore"):
        is_used = weights > _LEAST
    shares = np.where(is_used, weights, 0.0)
    first = shares.argmax(-1)[..., None]
    logs = np.log(np.where(is_used, weights, 1.0))
    is_other = is_used & (np.arange(weights.shape[-1]) != first)
    rows = np.nonzero(is_other)
    if len(rows[0]) == 0:
        return None
    gaps = (logs - np.take_along_axis(logs, first, -1))[rows]
    mine = raw[rows]
    best = np.broadcast_to(np.take_along_axis(raw, first, -1), raw.shape)[rows]
    if is_sloped:
        far = rows[3] - rows[2], first[..., 0][rows[:3]] - rows[2]
        distance = np.abs(far[0]) - np.abs(far[1])
        is_own = rows[1][:, None] == np.arange(raw.shape[1])  # [rows, heads]
        return _sloped(mine - best, np.where(is_own, -distance[:, None], 0.0), gaps, shares[rows])
    with np.errstate(all="ignore"):  # far steps overflow, and are not taken
        return (_capped if is_capped else _plain)(mine, best, gaps, shares[rows])


def _plain(mine: Numbers, best: Numbers, gaps: Numbers, shares: Numbers) -> Fit | None:
    """Fit scores' differences to those of the logarithms."""
    norm = float(np.linalg.norm(shares * gaps))
    across = shares * (mine - best)
    steepness = float(across @ across)
    if not (norm > 0 and steepness > 0):
        return None
    scale = float(across @ (shares * gaps)) / steepness
    return Fit(scale, None, float(np.linalg.norm(scale * across - shares * gaps)) / norm)


def _sloped(across: Numbers, distances: Numbers, gaps: Numbers, shares: Numbers) -> Fit | None:
    """Fit products and distances [rows, heads] together to the logarithms."""
    norm = float(np.linalg.norm(shares * gaps))
    columns = shares[:, None] * np.column_stack([across, distances])
    if not norm > 0 or len(columns) <= columns.shape[1]:
        return None
    found, _, rank, _ = np.linalg.lstsq(columns, shares * gaps, rcond=None)
    if rank < columns.shape[1]:
        return None
    left = float(np.linalg.norm(columns @ found - shares * gaps)) / norm
    return Fit(float(found[0]), None, left, tuple(float(slope) for slope in found[1:]))


def _capped(mine: Numbers, best: Numbers, gaps: Numbers, shares: Numbers) -> Fit | None:
    norm = float(np.linalg.norm(shares * gaps))
    if not (norm > 0 and np.abs(mine).any()):
        return None

    def off(place: Numbers) -> Numbers:
        scale, cap = np.exp(place)
        capped = cap * (np.tanh(scale * mine / cap) - np.tanh(scale * best / cap))
        left: Numbers = shares * (capped - gaps) / norm
        return left

    place = _stepped(off, min(_starts(mine, gaps), key=lambda each: float((off(each) ** 2).sum())))
    scale, cap = (float(each) for each in np.exp(place))
    return Fit(scale, cap, float(np.linalg.norm(off(place))))


def _starts(mine: Numbers, gaps: Numbers) -> list[Numbers]:
    """Logarithms of (scale, cap): the cap is of the size of the gaps, and scores may exceed it."""
    size = float(np.abs(gaps).max())
    largest = float(np.abs(mine).max())
    return [
        np.log([size / largest * over, size * share])
        for over in np.geomspace(0.3, 300.0, _GRID)
        for share in np.geomspace(0.2, 100.0, _GRID)
    ]


def _stepped(off: Callable[[Numbers], Numbers], place: Numbers) -> Numbers:
    gap = off(place)
    for _ in range(_STEPS):
        slopes = np.stack([(off(place + nudge) - gap) / _NUDGE for nudge in _NUDGE * np.eye(2)], -1)
        if not np.isfinite(slopes).all():
            break
        step = -np.linalg.lstsq(slopes, gap, rcond=None)[0]
        for _ in range(_HALVINGS):
            moved = off(place + step)
            if float(moved @ moved) < float(gap @ gap):
                break
            step = step / 2
        else:
            break
        place, gap = place + step, moved
    return place
