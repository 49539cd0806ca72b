"""LR schedulers in torch, by portalign's names, as a PyTorch user builds them.

Twin of `paddlepaddle.schedulers`. Warmup schedules are transformers' own functions where
transformers is installed, because that is what most reference training scripts call; elsewhere the
same formulas on torch's LambdaLR.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import torch
from torch.optim import lr_scheduler as lr

from portalign.equivalents.arguments import resolve
from portalign.equivalents.rows import Area
from portalign.errors import CaptureError
from portalign.frameworks.pacing import built, lr_factor, rate_function
from portalign.functions import call_function
from portalign.request import Json, Spec

Arguments = Mapping[str, Json]


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
        with built(spec, "torch"):
            return _SCHEDULERS[spec.name](optimizer, arguments)
    made = call_function(spec.function, optimizer, dict(settings))
    if not isinstance(made, lr.LRScheduler) or isinstance(made, lr.ReduceLROnPlateau):
        raise CaptureError(
            f"{spec.function} returned {type(made).__name__}, not a scheduler of fixed steps",
            why="the whole curve is compared iteration by iteration, without a metric",
            do="return a torch.optim.lr_scheduler.LRScheduler other than ReduceLROnPlateau",
        )
    return made


def _constant(optimizer: torch.optim.Optimizer, a: Arguments) -> lr.LRScheduler:
    if not a["total_iters"]:
        return lr.LambdaLR(optimizer, lambda _: 1.0)
    return lr.ConstantLR(optimizer, factor=a["factor"], total_iters=a["total_iters"])


def _step(optimizer: torch.optim.Optimizer, a: Arguments) -> lr.LRScheduler:
    return lr.StepLR(optimizer, a["step_size"], gamma=a["gamma"])


def _multi_step(optimizer: torch.optim.Optimizer, a: Arguments) -> lr.LRScheduler:
    return lr.MultiStepLR(optimizer, list(a["milestones"]), gamma=a["gamma"])


def _exponential(optimizer: torch.optim.Optimizer, a: Arguments) -> lr.LRScheduler:
    return lr.ExponentialLR(optimizer, gamma=a["gamma"])


def _polynomial(optimizer: torch.optim.Optimizer, a: Arguments) -> lr.LRScheduler:
    if a["end_lr"] == 0.0:
        return lr.PolynomialLR(optimizer, total_iters=a["total"], power=a["power"])
    return _formula("polynomial", optimizer, a)  # torch's own ends at 0 and nowhere else


def _cosine(optimizer: torch.optim.Optimizer, a: Arguments) -> lr.LRScheduler:
    return lr.CosineAnnealingLR(optimizer, a["t_max"], eta_min=a["eta_min"])


def _cosine_warm_restarts(optimizer: torch.optim.Optimizer, a: Arguments) -> lr.LRScheduler:
    return lr.CosineAnnealingWarmRestarts(
        optimizer, a["t_0"], T_mult=a["t_mult"], eta_min=a["eta_min"]
    )


def _linear(optimizer: torch.optim.Optimizer, a: Arguments) -> lr.LRScheduler:
    return lr.LinearLR(
        optimizer, start_factor=a["start"], end_factor=a["end"], total_iters=a["total"]
    )


def _lambda(optimizer: torch.optim.Optimizer, a: Arguments) -> lr.LRScheduler:
    return lr.LambdaLR(optimizer, rate_function(a["factor"]))


def _multiplicative(optimizer: torch.optim.Optimizer, a: Arguments) -> lr.LRScheduler:
    return lr.MultiplicativeLR(optimizer, rate_function(a["factor"]))


def _cyclic(optimizer: torch.optim.Optimizer, a: Arguments) -> lr.LRScheduler:
    return lr.CyclicLR(
        optimizer,
        base_lr=optimizer.param_groups[0]["lr"],
        max_lr=a["max_lr"],
        step_size_up=a["step_size_up"],
        step_size_down=a["step_size_down"],
        mode=a["mode"],
        gamma=a["gamma"],
        cycle_momentum=False,  # torch's default moves beta1 too, which paddle can't
    )


def _one_cycle(optimizer: torch.optim.Optimizer, a: Arguments) -> lr.LRScheduler:
    return lr.OneCycleLR(
        optimizer,
        max_lr=a["max_lr"],
        total_steps=a["total"],
        pct_start=float(a["pct_start"]),
        anneal_strategy=a["anneal_strategy"],
        cycle_momentum=False,  # torch's default moves beta1 too, which paddle can't
        div_factor=a["div_factor"],
        final_div_factor=a["final_div_factor"],
        three_phase=a["three_phase"],
    )


def _reduce_on_plateau(optimizer: torch.optim.Optimizer, a: Arguments) -> lr.LRScheduler:
    return lr.ReduceLROnPlateau(
        optimizer,
        mode=a["mode"],
        factor=a["factor"],
        patience=a["patience"],
        threshold=a["threshold"],
        threshold_mode=a["threshold_mode"],
        cooldown=a["cooldown"],
        min_lr=a["min_lr"],
        eps=a["eps"],
    )


def _sequential(optimizer: torch.optim.Optimizer, a: Arguments) -> lr.LRScheduler:
    return lr.SequentialLR(optimizer, _parts(optimizer, a), list(a["milestones"]))


def _chained(optimizer: torch.optim.Optimizer, a: Arguments) -> lr.LRScheduler:
    return lr.ChainedScheduler(_parts(optimizer, a), optimizer)


def _parts(optimizer: torch.optim.Optimizer, a: Arguments) -> list[lr.LRScheduler]:
    return [_SCHEDULERS[schedule["name"]](optimizer, schedule) for schedule in a["schedules"]]


def _warmup(name: str, optimizer: torch.optim.Optimizer, a: Arguments) -> lr.LRScheduler:
    try:
        import transformers.optimization as transformers
    except ImportError:
        return _formula(name, optimizer, a)
    function, names = _TRANSFORMERS[name]
    made: lr.LRScheduler = getattr(transformers, function)(
        optimizer, **{theirs: a[ours] for ours, theirs in names.items()}
    )
    return made


def _formula(name: str, optimizer: torch.optim.Optimizer, a: Arguments) -> lr.LRScheduler:
    return lr.LambdaLR(optimizer, lr_factor(name, a, optimizer.param_groups[0]["lr"]))


_STEPS: Final = {"warmup": "num_warmup_steps", "total": "num_training_steps"}
_TRANSFORMERS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "constant_warmup": ("get_constant_schedule_with_warmup", {"warmup": "num_warmup_steps"}),
    "linear_warmup": ("get_linear_schedule_with_warmup", _STEPS),
    "cosine_warmup": ("get_cosine_schedule_with_warmup", {**_STEPS, "num_cycles": "num_cycles"}),
    "cosine_restarts_warmup": (
        "get_cosine_with_hard_restarts_schedule_with_warmup",
        {**_STEPS, "num_cycles": "num_cycles"},
    ),
    "polynomial_warmup": (
        "get_polynomial_decay_schedule_with_warmup",
        {**_STEPS, "power": "power", "end_lr": "lr_end"},
    ),
    "inverse_sqrt_warmup": (
        "get_inverse_sqrt_schedule",
        {"warmup": "num_warmup_steps", "timescale": "timescale"},
    ),
}
_SCHEDULERS: Final[Mapping[str, Callable[[torch.optim.Optimizer, Arguments], lr.LRScheduler]]] = {
    "constant": _constant,
    "step": _step,
    "multi_step": _multi_step,
    "exponential": _exponential,
    "polynomial": _polynomial,
    "cosine": _cosine,
    "cosine_warm_restarts": _cosine_warm_restarts,
    "linear": _linear,
    "lambda": _lambda,
    "multiplicative": _multiplicative,
    "cyclic": _cyclic,
    "one_cycle": _one_cycle,
    "reduce_on_plateau": _reduce_on_plateau,
    "sequential": _sequential,
    "chained": _chained,
    **{name: partial(_warmup, name) for name in _TRANSFORMERS},
}
