"""Recognise the schedule behind a curve, where a porter's own functions made it.

Each family reads its arguments off the curve's features (where it peaks, where it jumps, how it
falls) and counts only if its formula then gives every point.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np

from portalign.diagnose.rates.schedule import Rates, Schedule, agree
from portalign.diagnose.words import nice
from portalign.request import Json

_LEAST = 6  # points; fewer fit anything
Guess = Mapping[str, Json]


def recognise(
    rates: Rates, *, base_lr: float | None = None, total: int | None = None
) -> Schedule | None:
    """The simplest schedule whose formula gives a curve, or None.

    Args:
        rates: [n], at least a few points that aren't all equal.
        base_lr: the optimizer's, where it is known; else the curve's peak stands for it.
        total: length that the port file gives the curve, where it does.
    """
    if rates.size < _LEAST or not np.isfinite(rates).all() or not np.ptp(rates):
        return None
    peak = float(rates.max())
    bases = list(dict.fromkeys([peak, *([base_lr] if base_lr else [])]))
    totals = list(dict.fromkeys([*([total] if total else []), rates.size - 1, rates.size]))
    for base in bases:
        for name, guess in _FAMILIES.items():
            for arguments in guess(rates, base, totals):
                found = Schedule(name, arguments, base)
                if _gives(found, rates):
                    return found
    return None


def _gives(found: Schedule, rates: Rates) -> bool:
    try:
        return agree(found.curve(rates.size), rates)
    except (ValueError, TypeError, ArithmeticError):
        return False


def _steps(rates: Rates, base: float, _: list[int]) -> Iterator[Guess]:
    at = np.flatnonzero(np.diff(rates)) + 1
    if at.size * 2 > rates.size or not rates[at[0] - 1]:
        return
    for gamma in nice(float(rates[at[0]] / rates[at[0] - 1])):
        yield {"milestones": at.tolist(), "gamma": gamma}


def _even_steps(rates: Rates, base: float, totals: list[int]) -> Iterator[Guess]:
    for guess in _steps(rates, base, totals):
        yield {"step_size": guess["milestones"][0], "gamma": guess["gamma"]}


def _exponential(rates: Rates, base: float, _: list[int]) -> Iterator[Guess]:
    if rates[0]:
        yield from ({"gamma": gamma} for gamma in nice(float(rates[1] / rates[0])))


def _linear(rates: Rates, base: float, _: list[int]) -> Iterator[Guess]:
    bend = _first(np.abs(np.diff(rates, 2)) > 1e-9 * base)
    total = rates.size - 1 if bend is None else bend + 1
    for start in nice(float(rates[0] / base)):
        for end in nice(float(rates[total] / base)):
            yield {"start": start, "end": end, "total": total}


def _polynomial(rates: Rates, base: float, totals: list[int]) -> Iterator[Guess]:
    yield from _powers(rates, base, 0, totals)


def _powers(rates: Rates, base: float, warmup: int, totals: list[int]) -> Iterator[Guess]:
    """Total, power and end LR of a polynomial decay that begins at `warmup`."""
    end = float(rates[-1])
    still = _first(rates[warmup:] == end)
    for total in dict.fromkeys([warmup + (still or 0), *totals]):
        last = float(rates[min(total, rates.size - 1)])
        span, left = base - last, 1 - 1 / max(1, total - warmup)
        share = (float(rates[min(warmup + 1, rates.size - 1)]) - last) / span if span else 0.0
        if 0 < share < 1 and 0 < left < 1:
            for power in nice(math.log(share) / math.log(left)):
                yield {"total": total, "power": power, "end_lr": last}


def _cosine(rates: Rates, base: float, totals: list[int]) -> Iterator[Guess]:
    lowest = float(rates.min())
    for t_max in dict.fromkeys([int(rates.argmin()), *totals]):
        if t_max:
            yield {"t_max": t_max, "eta_min": lowest}
            yield {"t_max": t_max, "eta_min": 0.0}


def _restarts(rates: Rates, base: float, _: list[int]) -> Iterator[Guess]:
    jumps = np.flatnonzero(np.diff(rates) > 0.3 * base) + 1
    if not jumps.size:
        return
    first = int(jumps[0])
    ratio = (jumps[1] - first) / first if jumps.size > 1 else 1
    share = (1 + math.cos(math.pi * (first - 1) / first)) / 2
    low = (float(rates[first - 1]) - base * share) / (1 - share) if share < 1 else 0.0
    for eta_min in (0.0, *nice(low)):
        yield {"t_0": first, "t_mult": round(ratio), "eta_min": eta_min}


def _warmups(rates: Rates) -> Iterator[Guess]:
    """Length and start of a linear rise to the peak, or none."""
    peak = int(rates.argmax())
    if not peak:
        yield {"warmup": 0}
        return
    yield {"warmup": peak}
    yield {"warmup": peak + 1, "first": 1}
    yield {"warmup": peak, "start_lr": float(rates[0])}


def _constant_warmup(rates: Rates, base: float, _: list[int]) -> Iterator[Guess]:
    yield from _warmups(rates)


def _linear_warmup(rates: Rates, base: float, totals: list[int]) -> Iterator[Guess]:
    for warmup in _warmups(rates):
        start = warmup["warmup"]
        if start + 1 < rates.size and (fall := float(base - rates[start + 1])) > 0:
            yield {**warmup, "total": start + round(base / fall)}


def _cosine_warmup(rates: Rates, base: float, totals: list[int]) -> Iterator[Guess]:
    for warmup in _warmups(rates):
        start = warmup["warmup"]
        angle = _angle(rates, base, start)
        for total in totals:
            if angle is not None and total > start:
                for n_cycles in nice(angle * (total - start) / (2 * math.pi)):
                    yield {**warmup, "total": total, "num_cycles": n_cycles}


def _angle(rates: Rates, base: float, start: int) -> float | None:
    """By how much the cosine turns in one step after `start`, read off where it falls fastest."""
    after = np.clip(2 * rates[start:] / base - 1, -1, 1)
    turned = _first(after <= 0)
    at = turned if turned is not None else after.size - 1
    return math.acos(float(after[at])) / at if at > 0 else None


def _restarts_warmup(rates: Rates, base: float, totals: list[int]) -> Iterator[Guess]:
    n_jumps = int((np.diff(rates) > 0.3 * base).sum())
    for warmup in _warmups(rates):
        for total in totals:
            yield {**warmup, "total": total, "num_cycles": n_jumps + 1}


def _polynomial_warmup(rates: Rates, base: float, totals: list[int]) -> Iterator[Guess]:
    for warmup in _warmups(rates):
        for powers in _powers(rates, base, warmup["warmup"], totals):
            yield {**warmup, **powers}


def _inverse_sqrt_warmup(rates: Rates, base: float, _: list[int]) -> Iterator[Guess]:
    for warmup in _warmups(rates):
        after = warmup["warmup"] + 1
        if after < rates.size and 0 < (ratio := float(rates[after] / base)) < 1:
            yield {**warmup, "timescale": max(1, round(1 / (ratio**-2 - 1)))}


def _first(found: np.ndarray) -> int | None:
    return int(found.argmax()) if found.any() else None


_FAMILIES: Final[Mapping[str, Callable[[Rates, float, list[int]], Iterator[Guess]]]] = {
    "step": _even_steps,
    "multi_step": _steps,
    "exponential": _exponential,
    "linear": _linear,
    "cosine": _cosine,
    "cosine_warm_restarts": _restarts,
    "polynomial": _polynomial,
    "constant_warmup": _constant_warmup,
    "linear_warmup": _linear_warmup,
    "cosine_warmup": _cosine_warmup,
    "polynomial_warmup": _polynomial_warmup,
    "cosine_restarts_warmup": _restarts_warmup,
    "inverse_sqrt_warmup": _inverse_sqrt_warmup,
}
