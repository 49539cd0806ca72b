"""LR schedulers in paddle, by portalign's names, as a Paddle user builds them.

Twin of `pytorch.schedulers`. Warmup schedules are LambdaDecay with the formulas of paddlenlp's
LinearDecayWithWarmup and CosineDecayWithWarmup, which subclass LambdaDecay in just this way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from paddle.optimizer import lr

from portalign.equivalents.arguments import resolve
from portalign.equivalents.rows import Area
from portalign.errors import CaptureError
from portalign.functions import call_function
from portalign.request import Json, Spec


def scheduler(
    base_lr: float | None, spec: Spec | None, *, settings: Mapping[str, object]
) -> lr.LRScheduler | None:
    """Build the scheduler that an optimizer takes as its learning rate; None when there is none.

    Args:
        base_lr: the optimizer's ``lr``; None when the optimizer is a porter's function and names
        none.
        spec: a name of `arguments.TABLES`, or a porter's ``fn(settings)``, which has its own base
        LR.
        settings: the port's settings, for a porter's function.

    Raises:
        CaptureError: unknown name or argument, no base LR, or the porter's function failed or
            returned something that isn't a scheduler of fixed iterations.
    """
    if spec is None:
        return None
    arguments = resolve(Area.LR_SCHEDULER, spec)
    if not spec.function:
        return _SCHEDULERS[spec.name](needed_lr(base_lr), arguments)
    made = call_function(spec.function, dict(settings))
    if not isinstance(made, lr.LRScheduler) or isinstance(made, lr.ReduceOnPlateau):
        raise CaptureError(
            f"{spec.function} returned {type(made).__name__}, not a scheduler of fixed steps",
            why="the whole curve is compared iteration by iteration, without a metric",
            do="return a paddle.optimizer.lr.LRScheduler other than ReduceOnPlateau",
        )
    return made


def needed_lr(base_lr: float | None) -> float:
    """The base LR, where paddle can't do without.

    Raises:
        CaptureError: there is none.
    """
    if base_lr is None:
        raise CaptureError(
            "the optimizer is a function of yours and names no lr",
            why="paddle's optimizer function takes the learning rate as an argument",
            do="add `lr:` beside the functions under `optimizer:` in the port file",
        )
    return float(base_lr)


def _constant(base_lr: float, _: Mapping[str, Json]) -> lr.LRScheduler:
    return lr.LambdaDecay(base_lr, lambda _: 1.0)


def _linear_warmup(base_lr: float, arguments: Mapping[str, Json]) -> lr.LRScheduler:
    warmup, total = arguments["warmup"], arguments["total"]

    def factor(step: int) -> float:
        if step < warmup:
            return float(step) / float(max(1, warmup))
        return max(0.0, float(total - step) / float(max(1, total - warmup)))

    return lr.LambdaDecay(base_lr, factor)


def _cosine_warmup(base_lr: float, arguments: Mapping[str, Json]) -> lr.LRScheduler:
    warmup, total, n_cycles = arguments["warmup"], arguments["total"], arguments["num_cycles"]

    def factor(step: int) -> float:
        if step < warmup:
            return float(step) / float(max(1, warmup))
        progress = float(step - warmup) / float(max(1, total - warmup))
        return max(0.0, 0.5 * (1.0 + math.cos(math.pi * float(n_cycles) * 2.0 * progress)))

    return lr.LambdaDecay(base_lr, factor)


def _step(base_lr: float, arguments: Mapping[str, Json]) -> lr.LRScheduler:
    return lr.StepDecay(base_lr, step_size=arguments["step_size"], gamma=arguments["gamma"])


def _multi_step(base_lr: float, arguments: Mapping[str, Json]) -> lr.LRScheduler:
    milestones = list(arguments["milestones"])
    return lr.MultiStepDecay(base_lr, milestones=milestones, gamma=arguments["gamma"])


def _exponential(base_lr: float, arguments: Mapping[str, Json]) -> lr.LRScheduler:
    return lr.ExponentialDecay(base_lr, gamma=arguments["gamma"])


def _cosine(base_lr: float, arguments: Mapping[str, Json]) -> lr.LRScheduler:
    return lr.CosineAnnealingDecay(
        base_lr, T_max=arguments["t_max"], eta_min=float(arguments["eta_min"])
    )


def _polynomial(base_lr: float, arguments: Mapping[str, Json]) -> lr.LRScheduler:
    return lr.PolynomialDecay(
        base_lr,
        decay_steps=arguments["total"],
        end_lr=float(arguments["end_lr"]),  # paddle's own default is 1e-4, torch's 0
        power=float(arguments["power"]),
    )


def _linear(base_lr: float, arguments: Mapping[str, Json]) -> lr.LRScheduler:
    return lr.LinearLR(
        base_lr,
        total_steps=arguments["total"],
        start_factor=float(arguments["start"]),
        end_factor=float(arguments["end"]),
    )


_SCHEDULERS: Final = {
    "constant": _constant,
    "linear_warmup": _linear_warmup,
    "cosine_warmup": _cosine_warmup,
    "step": _step,
    "multi_step": _multi_step,
    "exponential": _exponential,
    "cosine": _cosine,
    "polynomial": _polynomial,
    "linear": _linear,
}
