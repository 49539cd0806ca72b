"""LR schedulers in torch, by portalign's names, as a PyTorch user builds them.

Twin of `paddlepaddle.schedulers`. Warmup schedules are transformers' own functions where
transformers is installed, because that is what most reference training scripts call; elsewhere the
same formulas on torch's LambdaLR.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch.optim import lr_scheduler as lr

from portalign.equivalents.arguments import resolve
from portalign.equivalents.rows import Area
from portalign.errors import CaptureError
from portalign.functions import call_function
from portalign.request import Json, Spec


def scheduler(
    optimizer: torch.optim.Optimizer, spec: Spec | None, *, settings: Mapping[str, object]
) -> lr.LRScheduler | None:
    """Build the scheduler on an optimizer; None when there is none.

    Args:
        optimizer: the optimizer whose base LR it scales.
        spec: a name of `arguments.TABLES`, or a porter's ``fn(optimizer, settings)``.
        settings: the port's settings, for a porter's function.

    Raises:
        CaptureError: unknown name or argument, or the porter's function failed or returned
            something that isn't a scheduler of fixed iterations.
    """
    if spec is None:
        return None
    arguments = resolve(Area.LR_SCHEDULER, spec)
    if not spec.function:
        return _SCHEDULERS[spec.name](optimizer, arguments)
    made = call_function(spec.function, optimizer, dict(settings))
    if not isinstance(made, lr.LRScheduler) or isinstance(made, lr.ReduceLROnPlateau):
        raise CaptureError(
            f"{spec.function} returned {type(made).__name__}, not a scheduler of fixed steps",
            why="the whole curve is compared iteration by iteration, without a metric",
            do="return a torch.optim.lr_scheduler.LRScheduler other than ReduceLROnPlateau",
        )
    return made


def _constant(optimizer: torch.optim.Optimizer, _: Mapping[str, Json]) -> lr.LRScheduler:
    return lr.LambdaLR(optimizer, lambda _: 1.0)


def _linear_warmup(
    optimizer: torch.optim.Optimizer, arguments: Mapping[str, Json]
) -> lr.LRScheduler:
    warmup, total = arguments["warmup"], arguments["total"]
    try:
        from transformers.optimization import get_linear_schedule_with_warmup
    except ImportError:
        return lr.LambdaLR(optimizer, _linear_factor(warmup, total))
    return get_linear_schedule_with_warmup(optimizer, warmup, total)


def _cosine_warmup(
    optimizer: torch.optim.Optimizer, arguments: Mapping[str, Json]
) -> lr.LRScheduler:
    warmup, total, n_cycles = arguments["warmup"], arguments["total"], arguments["num_cycles"]
    try:
        from transformers.optimization import get_cosine_schedule_with_warmup
    except ImportError:
        return lr.LambdaLR(optimizer, _cosine_factor(warmup, total, n_cycles))
    return get_cosine_schedule_with_warmup(optimizer, warmup, total, num_cycles=n_cycles)


def _linear_factor(warmup: int, total: int) -> Callable[[int], float]:
    def factor(step: int) -> float:
        if step < warmup:
            return step / max(1, warmup)
        return max(0.0, (total - step) / max(1, total - warmup))

    return factor


def _cosine_factor(warmup: int, total: int, n_cycles: float) -> Callable[[int], float]:
    def factor(step: int) -> float:
        if step < warmup:
            return step / max(1, warmup)
        progress = (step - warmup) / max(1, total - warmup)
        return max(0.0, 0.5 * (1.0 + math.cos(math.pi * n_cycles * 2.0 * progress)))

    return factor


def _step(optimizer: torch.optim.Optimizer, arguments: Mapping[str, Json]) -> lr.LRScheduler:
    return lr.StepLR(optimizer, arguments["step_size"], gamma=arguments["gamma"])


def _multi_step(optimizer: torch.optim.Optimizer, arguments: Mapping[str, Json]) -> lr.LRScheduler:
    return lr.MultiStepLR(optimizer, list(arguments["milestones"]), gamma=arguments["gamma"])


def _exponential(optimizer: torch.optim.Optimizer, arguments: Mapping[str, Json]) -> lr.LRScheduler:
    return lr.ExponentialLR(optimizer, gamma=arguments["gamma"])


def _cosine(optimizer: torch.optim.Optimizer, arguments: Mapping[str, Json]) -> lr.LRScheduler:
    return lr.CosineAnnealingLR(optimizer, arguments["t_max"], eta_min=arguments["eta_min"])


def _polynomial(optimizer: torch.optim.Optimizer, arguments: Mapping[str, Json]) -> lr.LRScheduler:
    total, power, end = arguments["total"], arguments["power"], arguments["end_lr"]
    if end == 0.0:
        return lr.PolynomialLR(optimizer, total_iters=total, power=power)
    base = optimizer.param_groups[0]["lr"]  # torch's own ends at 0 and nowhere else

    def factor(step: int) -> float:
        share = (1.0 - min(step, total) / total) ** power
        return ((base - end) * share + end) / base

    return lr.LambdaLR(optimizer, factor)


def _linear(optimizer: torch.optim.Optimizer, arguments: Mapping[str, Json]) -> lr.LRScheduler:
    return lr.LinearLR(
        optimizer,
        start_factor=arguments["start"],
        end_factor=arguments["end"],
        total_iters=arguments["total"],
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
