"""The learning rate of every named schedule as a formula of the step, in float64.

What the frameworks' own schedulers are held to, and what the analysis recomputes with one argument
changed to find out why two curves differ. Formulas: torch.optim.lr_scheduler 2.13 and
transformers.optimization 5.23, which Paddle's decays and paddlenlp's warmups share.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from portalign.request import Json

Rates = npt.NDArray[np.float64]
Arguments = Mapping[str, Json]


def has_formula(name: str) -> bool:
    """Whether `rates` knows the schedule: not where a porter's function is part of it."""
    return name in _FORMULAS


def rates(name: str, arguments: Arguments, *, base_lr: float, n_steps: int) -> Rates:
    """The learning rate at the scheduler's steps 0 to `n_steps` - 1, float64 [n_steps].

    Args:
        name: one for which `has_formula` holds.
        arguments: as `arguments.resolve` completes them. A warmup may start at `start_lr` (default
            0) or count from `first` (default 0), which no port file says and some ports do.
        base_lr: the optimizer's.
    """
    steps = np.arange(n_steps, dtype=np.float64)
    with np.errstate(all="ignore"):  # a phase of no length, a gamma of 1e300: NaN or inf says it
        return np.asarray(_FORMULAS[name](steps, arguments, base_lr), dtype=np.float64)


def rate(name: str, arguments: Arguments, *, base_lr: float, step: int) -> float:
    """The learning rate at one step, of a schedule in which no step depends on those before."""
    return float(_FORMULAS[name](np.asarray([step], dtype=np.float64), arguments, base_lr)[0])


def curve(name: str, arguments: Arguments, *, base_lr: float, n_points: int) -> Rates:
    """As `rates`, over training iterations: `every: epoch` holds each rate for an epoch."""
    per_step = arguments.get("iterations_per_epoch") or 1
    steps = rates(name, arguments, base_lr=base_lr, n_steps=-(-n_points // per_step))
    return np.repeat(steps, per_step)[:n_points]


def _constant(t: Rates, a: Arguments, base: float) -> Rates:
    return np.where(t < a["total_iters"], base * a["factor"], base)


def _step(t: Rates, a: Arguments, base: float) -> Rates:
    return np.asarray(base * a["gamma"] ** (t // a["step_size"]))


def _multi_step(t: Rates, a: Arguments, base: float) -> Rates:
    return np.asarray(
        base * a["gamma"] ** np.searchsorted(np.asarray(a["milestones"]), t, side="right")
    )


def _exponential(t: Rates, a: Arguments, base: float) -> Rates:
    return np.asarray(base * a["gamma"] ** t)


def _polynomial(t: Rates, a: Arguments, base: float) -> Rates:
    left = 1.0 - np.minimum(t, a["total"]) / a["total"]
    return np.asarray((base - a["end_lr"]) * left ** a["power"] + a["end_lr"])


def _cosine(t: Rates, a: Arguments, base: float) -> Rates:
    return np.asarray(
        a["eta_min"] + (base - a["eta_min"]) * (1 + np.cos(np.pi * t / a["t_max"])) / 2
    )


def _cosine_warm_restarts(t: Rates, a: Arguments, base: float) -> Rates:
    start, length, done = 0, a["t_0"], []
    while start < len(t):
        if length < 1:
            raise ValueError(f"a cycle of {length} steps")
        done.append(_cosine(t[start : start + length] - start, {**a, "t_max": length}, base))
        start, length = start + length, length * a["t_mult"]
    return np.concatenate([*done, np.empty(0)])


def _linear(t: Rates, a: Arguments, base: float) -> Rates:
    return np.asarray(
        base * (a["start"] + (a["end"] - a["start"]) * np.minimum(t, a["total"]) / a["total"])
    )


def _cyclic(t: Rates, a: Arguments, base: float) -> Rates:
    up = a["step_size_up"]
    size = up + (a["step_size_down"] or up)
    cycle = np.floor(1 + t / size)
    share = 1.0 + t / size - cycle
    height = np.where(share <= up / size, share * size / up, (1 - share) / (1 - up / size))
    scale = {"triangular": 1.0, "triangular2": 0.5 ** (cycle - 1), "exp_range": a["gamma"] ** t}
    return np.asarray(base + (a["max_lr"] - base) * height * scale[a["mode"]])


def _one_cycle(t: Rates, a: Arguments, base: float) -> Rates:
    """Starts at ``max_lr / div_factor``; the base LR has no part in it."""
    top, total, share = a["max_lr"], a["total"], a["pct_start"]
    low = top / a["div_factor"]
    ends = [share * total - 1, total - 1]
    levels = [low, top, low / a["final_div_factor"]]
    if a["three_phase"]:
        ends.insert(1, 2 * share * total - 2)
        levels.insert(2, low)
    done, start = np.full(len(t), np.nan), 0.0
    for index, (end, (first, last)) in enumerate(zip(ends, pairwise(levels), strict=True)):
        pct = (t - start) / (end - start)
        cosine = last + (first - last) / 2.0 * (np.cos(np.pi * pct) + 1)
        value = cosine if a["anneal_strategy"] == "cos" else (last - first) * pct + first
        is_here = np.isnan(done) & ((t <= end) | (index == len(ends) - 1))
        done, start = np.where(is_here, value, done), end
    return done


def _reduce_on_plateau(t: Rates, a: Arguments, base: float) -> Rates:
    """By torch's rule; `is_blind` (default False) is paddle's: a best value that is seen during the
    cooldown doesn't count.
    """
    best = math.inf if a["mode"] == "min" else -math.inf
    lr, n_bad, cooldown, done = base, 0, 0, [base]
    for metric in a["metrics"]:
        if cooldown and a.get("is_blind"):
            cooldown -= 1
        else:
            is_better = _is_better(metric, best, a)
            best, n_bad = (metric, 0) if is_better else (best, n_bad + 1)
            if cooldown:
                cooldown, n_bad = cooldown - 1, 0
            if n_bad > a["patience"]:
                lower = max(lr * a["factor"], a["min_lr"])
                lr = lower if lr - lower > a["eps"] else lr
                cooldown, n_bad = a["cooldown"], 0
        done.append(lr)
    return np.asarray([*done, *[math.nan] * len(t)])[: len(t)]  # unknown after the last metric


def _is_better(metric: float, best: float, a: Arguments) -> bool:
    sign = -1.0 if a["mode"] == "min" else 1.0
    if math.isinf(best):
        return not math.isnan(metric)
    slack = best * a["threshold"] if a["threshold_mode"] == "rel" else a["threshold"]
    return bool(sign * metric > sign * (best + sign * slack))


def _sequential(t: Rates, a: Arguments, base: float) -> Rates:
    done = np.empty(len(t))
    for start, schedule in zip([0, *a["milestones"]], a["schedules"], strict=True):
        formula = _FORMULAS[schedule["name"]]
        done[start:] = formula(np.arange(max(len(t) - start, 0), dtype=float), schedule, base)
    return done


def _chained(t: Rates, a: Arguments, base: float) -> Rates:
    done = np.full(len(t), base)
    for schedule in a["schedules"]:
        done *= _FORMULAS[schedule["name"]](t, schedule, 1.0)
    return done


def _warmed(t: Rates, a: Arguments, base: float, after: Rates) -> Rates:
    start, first = a.get("start_lr", 0.0), a.get("first", 0)
    ramp = start + (base - start) * (t + first) / max(1, a["warmup"])
    return np.where(t < a["warmup"], ramp, after)


def _progress(t: Rates, a: Arguments) -> Rates:
    return np.asarray(np.maximum(t - a["warmup"], 0) / max(1, a["total"] - a["warmup"]))


def _constant_warmup(t: Rates, a: Arguments, base: float) -> Rates:
    return _warmed(t, a, base, np.full(len(t), base))


def _linear_warmup(t: Rates, a: Arguments, base: float) -> Rates:
    left = (a["total"] - t) / max(1, a["total"] - a["warmup"])
    return _warmed(t, a, base, base * np.maximum(left, 0.0))


def _cosine_warmup(t: Rates, a: Arguments, base: float) -> Rates:
    angle = np.pi * a["num_cycles"] * 2.0 * _progress(t, a)
    return _warmed(t, a, base, base * 0.5 * (1.0 + np.cos(angle)))


def _cosine_restarts_warmup(t: Rates, a: Arguments, base: float) -> Rates:
    progress = _progress(t, a)
    angle = np.pi * ((a["num_cycles"] * progress) % 1.0)
    after = np.where(progress >= 1.0, 0.0, 0.5 * (1.0 + np.cos(angle)))
    return _warmed(t, a, base, base * after)


def _polynomial_warmup(t: Rates, a: Arguments, base: float) -> Rates:
    left = 1.0 - np.minimum(_progress(t, a), 1.0)
    return _warmed(t, a, base, (base - a["end_lr"]) * left ** a["power"] + a["end_lr"])


def _inverse_sqrt_warmup(t: Rates, a: Arguments, base: float) -> Rates:
    scale = a["timescale"] or a["warmup"] or 10_000  # as transformers
    since = np.maximum(t - a["warmup"], 0)
    return _warmed(t, a, base, base / np.sqrt((since + scale) / scale))


_FORMULAS: Final[Mapping[str, Callable[[Rates, Arguments, float], Rates]]] = {
    "constant": _constant,
    "step": _step,
    "multi_step": _multi_step,
    "exponential": _exponential,
    "polynomial": _polynomial,
    "cosine": _cosine,
    "cosine_warm_restarts": _cosine_warm_restarts,
    "linear": _linear,
    "cyclic": _cyclic,
    "one_cycle": _one_cycle,
    "reduce_on_plateau": _reduce_on_plateau,
    "sequential": _sequential,
    "chained": _chained,
    "constant_warmup": _constant_warmup,
    "linear_warmup": _linear_warmup,
    "cosine_warmup": _cosine_warmup,
    "cosine_restarts_warmup": _cosine_restarts_warmup,
    "polynomial_warmup": _polynomial_warmup,
    "inverse_sqrt_warmup": _inverse_sqrt_warmup,
}
