"""LR schedulers in paddle, by portalign's names, as a Paddle user builds them.

Twin of `pytorch.schedulers`. Warmup schedules are LinearWarmup in front of paddle's own decays;
where paddle has no such decay, LambdaDecay with transformers' formula, as paddlenlp's classes are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, final

from paddle.optimizer import lr

from portalign.equivalents.arguments import resolve
from portalign.equivalents.rows import Area
from portalign.errors import CaptureError
from portalign.frameworks.pacing import built, lr_factor, rate_function
from portalign.functions import call_function
from portalign.request import Json, Spec

Arguments = Mapping[str, Json]


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
        with built(spec, "paddle"):
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


def _constant(base_lr: float, a: Arguments) -> lr.LRScheduler:
    if not a["total_iters"]:
        return lr.LambdaDecay(base_lr, lambda _: 1.0)
    return lr.PiecewiseDecay([a["total_iters"]], [base_lr * a["factor"], base_lr])


def _step(base_lr: float, a: Arguments) -> lr.LRScheduler:
    return lr.StepDecay(base_lr, step_size=a["step_size"], gamma=a["gamma"])


def _multi_step(base_lr: float, a: Arguments) -> lr.LRScheduler:
    return lr.MultiStepDecay(base_lr, milestones=list(a["milestones"]), gamma=a["gamma"])


def _exponential(base_lr: float, a: Arguments) -> lr.LRScheduler:
    return lr.ExponentialDecay(base_lr, gamma=a["gamma"])


def _polynomial(base_lr: float, a: Arguments) -> lr.LRScheduler:
    return lr.PolynomialDecay(
        base_lr,
        decay_steps=a["total"],
        end_lr=float(a["end_lr"]),  # paddle's own default is 1e-4, torch's 0
        power=float(a["power"]),
    )


def _cosine(base_lr: float, a: Arguments) -> lr.LRScheduler:
    return lr.CosineAnnealingDecay(base_lr, T_max=a["t_max"], eta_min=float(a["eta_min"]))


def _cosine_warm_restarts(base_lr: float, a: Arguments) -> lr.LRScheduler:
    return lr.CosineAnnealingWarmRestarts(
        base_lr, a["t_0"], T_mult=a["t_mult"], eta_min=float(a["eta_min"])
    )


def _linear(base_lr: float, a: Arguments) -> lr.LRScheduler:
    return lr.LinearLR(
        base_lr,
        total_steps=a["total"],
        start_factor=float(a["start"]),
        end_factor=float(a["end"]),
    )


def _lambda(base_lr: float, a: Arguments) -> lr.LRScheduler:
    return lr.LambdaDecay(base_lr, rate_function(a["factor"]))


def _multiplicative(base_lr: float, a: Arguments) -> lr.LRScheduler:
    return lr.MultiplicativeDecay(base_lr, rate_function(a["factor"]))


def _cyclic(base_lr: float, a: Arguments) -> lr.LRScheduler:
    return lr.CyclicLR(
        base_lr,
        a["max_lr"],
        step_size_up=a["step_size_up"],
        step_size_down=a["step_size_down"],
        mode=a["mode"],
        exp_gamma=float(a["gamma"]),
    )


def _one_cycle(_: float, a: Arguments) -> lr.LRScheduler:
    return lr.OneCycleLR(
        a["max_lr"],
        a["total"],
        divide_factor=a["div_factor"],
        end_learning_rate=a["max_lr"] / a["div_factor"] / a["final_div_factor"],  # as torch's
        phase_pct=float(a["pct_start"]),
        anneal_strategy=a["anneal_strategy"],
        three_phase=a["three_phase"],
    )


def _reduce_on_plateau(base_lr: float, a: Arguments) -> lr.LRScheduler:
    return lr.ReduceOnPlateau(
        base_lr,
        mode=a["mode"],
        factor=a["factor"],
        patience=a["patience"],
        threshold=a["threshold"],
        threshold_mode=a["threshold_mode"],
        cooldown=a["cooldown"],
        min_lr=a["min_lr"],
        epsilon=a["eps"],
    )


def _sequential(base_lr: float, a: Arguments) -> lr.LRScheduler:
    return _Sequential(_parts(base_lr, a), a["milestones"])


def _chained(base_lr: float, a: Arguments) -> lr.LRScheduler:
    return _Chained(base_lr, _parts(1.0, a))


def _parts(base_lr: float, a: Arguments) -> list[lr.LRScheduler]:
    return [_SCHEDULERS[schedule["name"]](base_lr, schedule) for schedule in a["schedules"]]


@final
class _Sequential(lr.LRScheduler):
    """One schedule after the other, each from its own start, as torch's SequentialLR."""

    def __init__(self, parts: Sequence[lr.LRScheduler], milestones: Sequence[int]) -> None:
        self._parts = parts
        self._milestones = milestones
        super().__init__(parts[0].base_lr)

    def get_lr(self) -> float:
        part = self._parts[bisect_right(self._milestones, self.last_epoch)]
        if self.last_epoch and self.last_epoch not in self._milestones:
            part.step()
        return part()


@final
class _Chained(lr.LRScheduler):
    """The product of schedules of base LR 1, as torch's ChainedScheduler."""

    def __init__(self, base_lr: float, parts: Sequence[lr.LRScheduler]) -> None:
        self._parts = parts
        super().__init__(base_lr)

    def get_lr(self) -> float:
        rate = self.base_lr
        for part in self._parts:
            if self.last_epoch:
                part.step()
            rate *= part()
        return rate


def _constant_warmup(base_lr: float, a: Arguments) -> lr.LRScheduler:
    return _warmed(base_lr, a, base_lr)


def _linear_warmup(base_lr: float, a: Arguments) -> lr.LRScheduler:
    n_left = a["total"] - a["warmup"]
    after = lr.PolynomialDecay(base_lr, n_left, end_lr=0.0) if n_left > 0 else 0.0
    return _warmed(base_lr, a, after)


def _cosine_warmup(base_lr: float, a: Arguments) -> lr.LRScheduler:
    half_waves = 2 * a["num_cycles"]
    n_left = max(1, a["total"] - a["warmup"])
    if not half_waves or n_left % half_waves:  # paddle's T_max is a whole number
        return _formula("cosine_warmup", base_lr, a)
    return _warmed(base_lr, a, lr.CosineAnnealingDecay(base_lr, T_max=int(n_left / half_waves)))


def _polynomial_warmup(base_lr: float, a: Arguments) -> lr.LRScheduler:
    n_left = a["total"] - a["warmup"]
    end, power = float(a["end_lr"]), float(a["power"])
    after = lr.PolynomialDecay(base_lr, n_left, end_lr=end, power=power) if n_left > 0 else end
    return _warmed(base_lr, a, after)


def _warmed(base_lr: float, a: Arguments, after: lr.LRScheduler | float) -> lr.LRScheduler:
    if a["warmup"]:
        return lr.LinearWarmup(after, a["warmup"], 0.0, base_lr)
    return after if isinstance(after, lr.LRScheduler) else lr.LambdaDecay(after, lambda _: 1.0)


def _formula(name: str, base_lr: float, a: Arguments) -> lr.LRScheduler:
    return lr.LambdaDecay(base_lr, lr_factor(name, a, base_lr))


_SCHEDULERS: Final[Mapping[str, Callable[[float, Arguments], lr.LRScheduler]]] = {
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
    "constant_warmup": _constant_warmup,
    "linear_warmup": _linear_warmup,
    "cosine_warmup": _cosine_warmup,
    "polynomial_warmup": _polynomial_warmup,
    # Paddle's warm restarts begin again where transformers' stay at 0, and it has no inverse root.
    "cosine_restarts_warmup": partial(_formula, "cosine_restarts_warmup"),
    "inverse_sqrt_warmup": partial(_formula, "inverse_sqrt_warmup"),
}
