"""What each named LR scheduler takes, with its defaults, and what can't stand together.

Counts (`total`, `warmup`, `step_size`, ...) are in the scheduler's own steps: iterations, or epochs
where `every: epoch` says so. `probe` is in iterations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from portalign.equivalents.arguments.argument import (
    POSITIVE,
    Accepted,
    Argument,
    Arguments,
    choice,
    count,
    flag,
    is_count,
    is_number,
    list_of,
    number,
)
from portalign.errors import CaptureError
from portalign.request import Json

_CURVE: Final = {  # what the stages read; the schedule itself doesn't
    "total": count(low=1, optional=True),
    "probe": list_of("a list of iterations", lambda v: is_count(v) and v >= 0),
    "every": choice("iteration", "epoch"),
    "iterations_per_epoch": count(low=1, optional=True),
}
_TOTAL: Final = {"total": count(low=1, required=True)}
_GAMMA: Final = {"gamma": number(0.1, low=0)}
_FACTOR: Final = {
    "factor": Argument(
        "a function file.py:fn(step) that returns a number",
        lambda value: isinstance(value, str) and ":" in value,
        is_required=True,
    )
}
_WARMUP: Final = {**_CURVE, "warmup": count(0), **_TOTAL}
_PLATEAU: Final = {  # defaults that torch 2.13 and paddle 3.3.1 share
    "metrics": list_of("a list of numbers, one for each step", is_number, required=True),
    "mode": choice("min", "max"),
    "factor": number(0.1, low=0, below=1),
    "patience": count(10),
    "threshold": number(1e-4, low=0),
    "threshold_mode": choice("rel", "abs"),
    "cooldown": count(0),
    "min_lr": number(0.0, low=0),
    "eps": number(1e-8, low=0),
}
_CYCLIC: Final = {
    "max_lr": number(low=0, required=True),
    "step_size_up": count(2000, low=1),
    "step_size_down": count(low=1, optional=True),
    "mode": choice("triangular", "triangular2", "exp_range"),
    "gamma": number(1.0, low=0),
}
_ONE_CYCLE: Final = {  # torch's defaults; paddle's end LR is a number of its own (1e-4)
    "max_lr": number(low=POSITIVE, required=True),
    "pct_start": number(0.3, low=0, below=1),
    "div_factor": number(25.0, low=POSITIVE),
    "final_div_factor": number(1e4, low=POSITIVE),
    "anneal_strategy": choice("cos", "linear"),
    "three_phase": flag(False),
}
# What torch can put one after the other, and what it can multiply: others overwrite the LR.
SEQUENTIAL: Final = (
    "constant",
    "step",
    "multi_step",
    "exponential",
    "cosine",
    "cosine_warm_restarts",
    "polynomial",
    "linear",
)
CHAINED: Final = ("constant", "step", "multi_step", "exponential", "linear", "multiplicative")


def _schedules(names: tuple[str, ...]) -> Argument:
    return list_of(
        f"a list of schedules {{name: ..., ...}} out of {', '.join(names)}",
        lambda value: isinstance(value, Mapping) and value.get("name") in names,
        required=True,
    )


LR_SCHEDULERS: Final[Accepted] = {
    "constant": {**_CURVE, "factor": number(1.0, low=0), "total_iters": count(0)},
    "step": {**_CURVE, "step_size": count(low=1, required=True), **_GAMMA},
    "multi_step": {
        **_CURVE,
        "milestones": list_of(
            "a list of iterations", lambda v: is_count(v) and v > 0, required=True
        ),
        **_GAMMA,
    },
    "exponential": {**_CURVE, "gamma": number(low=0, required=True)},
    "polynomial": {
        **_CURVE,
        **_TOTAL,
        "power": number(1.0, low=0),
        "end_lr": number(0.0, low=0),
    },
    "cosine": {**_CURVE, "t_max": count(low=1, required=True), "eta_min": number(0.0, low=0)},
    "cosine_warm_restarts": {
        **_CURVE,
        "t_0": count(low=1, required=True),
        "t_mult": count(1, low=1),
        "eta_min": number(0.0, low=0),
    },
    "linear": {  # start and end are factors of the base LR
        **_CURVE,
        **_TOTAL,
        "start": number(1 / 3, low=POSITIVE),
        "end": number(1.0, low=0),
    },
    "lambda": {**_CURVE, **_FACTOR},
    "multiplicative": {**_CURVE, **_FACTOR},
    "cyclic": {**_CURVE, **_CYCLIC},
    "one_cycle": {**_CURVE, **_TOTAL, **_ONE_CYCLE},
    "reduce_on_plateau": {**_CURVE, **_PLATEAU},
    "sequential": {
        **_CURVE,
        "schedules": _schedules(SEQUENTIAL),
        "milestones": list_of(
            "a list of iterations", lambda v: is_count(v) and v > 0, required=True
        ),
    },
    "chained": {**_CURVE, "schedules": _schedules(CHAINED)},
    "constant_warmup": {**_CURVE, "warmup": count(0)},
    "linear_warmup": _WARMUP,
    # num_cycles 0.5 is transformers' and paddlenlp's default: half a cosine, from 1 to 0
    "cosine_warmup": {**_WARMUP, "num_cycles": number(0.5, low=0)},
    "cosine_restarts_warmup": {**_WARMUP, "num_cycles": count(1, low=1)},
    # 1e-7 is transformers' default
    "polynomial_warmup": {**_WARMUP, "power": number(1.0, low=0), "end_lr": number(1e-7, low=0)},
    "inverse_sqrt_warmup": {
        **_CURVE,
        "warmup": count(0),
        "timescale": count(low=1, optional=True),
    },
}
OWN_LR_SCHEDULER: Final[Arguments] = _CURVE  # of a porter's function


def check_together(name: str, values: Mapping[str, Json]) -> None:
    """Refuse arguments of an LR scheduler that are right each by itself and not together.

    Args:
        name: the schedule's, or a function's.
        values: every argument, defaults filled in.

    Raises:
        CaptureError: with what to change.
    """
    for found, do in _contradictions(values):
        raise CaptureError(
            f"lr_scheduler {name!r} has {found}",
            why="the two frameworks could not be given the same schedule",
            do=f"{do} under `lr_scheduler:` in the port file",
        )


def _contradictions(values: Mapping[str, Json]) -> list[tuple[str, str]]:
    found = []
    milestones = list(values.get("milestones", ()))
    if milestones != sorted(set(milestones)):
        found.append((f"milestones {milestones}", "let every milestone be later than the last"))
    if "schedules" in values and not values["schedules"]:
        found.append(("no schedules", "list them"))
    if "schedules" in values and "milestones" in values:
        n_needed = len(values["schedules"]) - 1
        if len(milestones) != n_needed:
            found.append(
                (
                    f"{len(milestones)} milestones for {n_needed + 1} schedules",
                    "name the step at which each schedule but the first begins",
                )
            )
    is_by_epoch, is_counted = values["every"] == "epoch", values["iterations_per_epoch"] is not None
    if is_by_epoch and not is_counted:
        found.append(("every: epoch without iterations_per_epoch", "add `iterations_per_epoch:`"))
    if is_counted and not is_by_epoch:
        found.append(("iterations_per_epoch without every: epoch", "add `every: epoch`"))
    return found
