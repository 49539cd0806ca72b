"""Find the value of one argument that turns a schedule into another curve.

Whole numbers are tried, numbers are solved for at the point that differs most; both count only if
the whole curve then agrees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final

import numpy as np

from portalign.diagnose.rates.schedule import Path, Rates, Schedule, agree, paths
from portalign.diagnose.words import nice
from portalign.request import Json

_NEAR = 300  # whole numbers tried around the one that is known, and from 0
_CHOICES: Final[dict[str, tuple[Json, ...]]] = {
    "mode": ("triangular", "triangular2", "exp_range", "min", "max"),
    "threshold_mode": ("rel", "abs"),
    "anneal_strategy": ("cos", "linear"),
    "three_phase": (True, False),
}
# What no port file names: where a warmup starts, and whether its first step counts as 1.
_UNNAMED: Final[dict[str, Json]] = {"start_lr": 0.0, "first": 0}
_COUNTS: Final = (
    *("warmup", "total", "total_iters", "step_size", "t_max", "t_0", "t_mult", "timescale"),
    *("step_size_up", "step_size_down", "patience", "cooldown", "first"),
)
_GRID = np.concatenate([[0.0], np.geomspace(1e-9, 1e4, 131)])
_NOT_A_VALUE = (ValueError, TypeError, KeyError, IndexError, ArithmeticError)


def one_changed(schedule: Schedule, wanted: Rates) -> Iterator[tuple[Path, Json]]:
    """Arguments that, each changed by itself to a value, give a wanted curve [n].

    Args:
        schedule: of the reference; gives another curve.
    """
    unnamed = [(key,) for key in _UNNAMED] if "warmup" in schedule.arguments else []
    for path in (*paths(schedule), *unnamed):
        for value in _values(schedule, path, wanted):
            if value != known_value(schedule, path) and _gives(schedule, path, value, wanted):
                yield path, value
                break


def known_value(schedule: Schedule, path: Path) -> Json:
    """The argument at a path; what no port file names is as frameworks have it."""
    value = schedule.value(path)
    return _UNNAMED.get(str(path[-1])) if value is None else value


def _gives(schedule: Schedule, path: Path, value: Json, wanted: Rates) -> bool:
    try:
        return agree(schedule.changed(path, value).curve(wanted.size), wanted)
    except _NOT_A_VALUE:
        return False  # no schedule has such a value


def _values(schedule: Schedule, path: Path, wanted: Rates) -> Iterator[Json]:
    name, known = path[-1], known_value(schedule, path)
    if name in _CHOICES:
        yield from _CHOICES[str(name)]
    elif name == "milestones":
        yield [int(at) for at in _changes(wanted)]
        yield from ([at + shift for at in known] for shift in range(-10, 11))
    elif name in _COUNTS:
        yield from _counts(known or 0, schedule, path, wanted)
    elif known is not None:
        for solved in _solved(schedule, path, wanted):
            yield from nice(solved)


def _changes(wanted: Rates) -> Rates:
    """Where a curve isn't what it was one point before."""
    return np.asarray(np.flatnonzero(np.diff(wanted)) + 1, dtype=np.float64)


def _counts(known: int, schedule: Schedule, path: Path, wanted: Rates) -> Iterator[int]:
    near = {*range(_NEAR + 1), *range(known - _NEAR, known + _NEAR + 1)}
    near |= {known * k for k in range(2, 11)} | {round(known / k) for k in range(2, 11)}
    near |= {int(at) for at in _changes(wanted)[:50]}
    for at in (int(wanted.argmax()), int(wanted.argmin()), wanted.size):
        near |= set(range(at - 2, at + 3))
    if wanted.size > _NEAR:
        near |= {round(value) for value in _solved(schedule, path, wanted) if value < 1e9}
    yield from sorted((value for value in near if value >= 0), key=lambda v: (abs(v - known), v))


def _solved(schedule: Schedule, path: Path, wanted: Rates) -> Iterator[float]:
    """Values at which the curve meets the wanted one at the point where it is farthest off."""
    own = schedule.curve(wanted.size)
    distance = np.nan_to_num(np.abs(own - wanted))
    at = int(distance.argmax())

    def miss(value: float) -> float:
        try:
            return float(schedule.changed(path, value).curve(at + 1)[at] - wanted[at])
        except _NOT_A_VALUE:
            return math.nan

    known = float(known_value(schedule, path) or 0.0)
    grid = sorted({*_GRID.tolist(), *(known * (0.5 + np.arange(41) / 40)).tolist()})
    misses = [miss(value) for value in grid]
    for (low, left), (high, right) in pairwise(zip(grid, misses, strict=True)):
        if left == 0.0:
            yield low
        elif left * right < 0:
            yield _bisected(miss, low, high)


def _bisected(miss: Callable[[float], float], low: float, high: float) -> float:
    is_low = miss(low) > 0
    for _ in range(70):
        middle = (low + high) / 2
        low, high = (middle, high) if (miss(middle) > 0) == is_low else (low, middle)
    return (low + high) / 2
