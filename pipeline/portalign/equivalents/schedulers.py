"""Learning rate schedules: what torch or transformers and what Paddle build of one entry.

``lr`` stands for the optimizer's own learning rate, the base of every schedule.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Final

from portalign.equivalents.rows import Area, Row

# Curves are a few double operations a point; a recurrence gathers an ulp (1.1e-16) an iteration.
_row = partial(Row, Area.LR_SCHEDULER, agrees_to=1e-14)

# A plateau, the best value in the cooldown after its reduction, and a plateau again.
_LOSSES: Final = [1.0, *[1.1] * 4, 0.5, *[0.8] * 94]

ROWS: Final[tuple[Row, ...]] = (
    _row(
        "constant",
        {"name": "constant"},
        "LambdaLR(optimizer, lambda _: 1.0)",
        "LambdaDecay(lr, lambda _: 1.0)",
    ),
    _row(
        "constant, scaled at first",
        {"name": "constant", "factor": 0.3, "total_iters": 20},
        "ConstantLR(optimizer, factor=0.3, total_iters=20)",
        "PiecewiseDecay([20], [0.3 * lr, lr])",
        "Paddle takes rates, torch a factor.",
    ),
    _row(
        "step",
        {"name": "step", "step_size": 30, "gamma": 0.1},
        "StepLR(optimizer, 30, gamma=0.1)",
        "StepDecay(lr, step_size=30, gamma=0.1)",
        "Paddle refuses gamma >= 1.",
    ),
    _row(
        "step, once an epoch",
        {"name": "step", "step_size": 2, "every": "epoch", "iterations_per_epoch": 15},
        "StepLR(optimizer, 2), .step() after 15 iterations",
        "StepDecay(lr, step_size=2), .step() after 15 iterations",
        "Neither framework knows what an epoch is: the unit is how often `.step()` is called. "
        "`every: epoch` works for each schedule; its counts are epochs then.",
    ),
    _row(
        "multi-step",
        {"name": "multi_step", "milestones": [20, 50], "gamma": 0.3},
        "MultiStepLR(optimizer, [20, 50], gamma=0.3)",
        "MultiStepDecay(lr, [20, 50], gamma=0.3)",
        "Paddle refuses gamma >= 1 and a milestone that is named twice.",
    ),
    _row(
        "exponential",
        {"name": "exponential", "gamma": 0.95},
        "ExponentialLR(optimizer, gamma=0.95)",
        "ExponentialDecay(lr, gamma=0.95)",
    ),
    _row(
        "polynomial",
        {"name": "polynomial", "total": 80, "power": 2.0},
        "PolynomialLR(optimizer, total_iters=80, power=2.0)",
        "PolynomialDecay(lr, decay_steps=80, power=2.0, end_lr=0.0)",
        "Paddle's `end_lr` is 1e-4 by default, torch's schedule ends at 0: portalign passes 0.",
    ),
    _row(
        "polynomial, to an end LR",
        {"name": "polynomial", "total": 80, "power": 2.0, "end_lr": 1e-4},
        "LambdaLR(optimizer, factor)",
        "PolynomialDecay(lr, decay_steps=80, power=2.0, end_lr=1e-4)",
        "torch's PolynomialLR can't end elsewhere than at 0: portalign gives it the formula.",
    ),
    _row(
        "cosine",
        {"name": "cosine", "t_max": 60, "eta_min": 1e-5},
        "CosineAnnealingLR(optimizer, 60, eta_min=1e-5)",
        "CosineAnnealingDecay(lr, T_max=60, eta_min=1e-5)",
        "Both rise again after `t_max`.",
    ),
    _row(
        "cosine, warm restarts",
        {"name": "cosine_warm_restarts", "t_0": 12, "t_mult": 2, "eta_min": 1e-5},
        "CosineAnnealingWarmRestarts(optimizer, 12, T_mult=2, eta_min=1e-5)",
        "CosineAnnealingWarmRestarts(lr, 12, T_mult=2, eta_min=1e-5)",
    ),
    _row(
        "linear",
        {"name": "linear", "start": 0.25, "total": 20},
        "LinearLR(optimizer, start_factor=0.25, end_factor=1.0, total_iters=20)",
        "LinearLR(lr, total_steps=20, start_factor=0.25, end_factor=1.0)",
        "The second positional argument is a factor in torch and a number of steps in Paddle.",
    ),
    _row(
        "lambda",
        {"name": "lambda", "factor": "portalign.equivalents.schedulers:saw"},
        "LambdaLR(optimizer, saw)",
        "LambdaDecay(lr, saw)",
    ),
    _row(
        "multiplicative",
        {"name": "multiplicative", "factor": "portalign.equivalents.schedulers:saw"},
        "MultiplicativeLR(optimizer, saw)",
        "MultiplicativeDecay(lr, saw)",
        "Paddle multiplies from the start at every step: the work grows with the square.",
    ),
    _row(
        "cyclic",
        {"name": "cyclic", "max_lr": 0.01, "step_size_up": 8, "step_size_down": 14},
        "CyclicLR(optimizer, base_lr=lr, max_lr=0.01, step_size_up=8, step_size_down=14, "
        "cycle_momentum=False)",
        "CyclicLR(lr, 0.01, step_size_up=8, step_size_down=14)",
        "torch moves the momentum (or beta1) too by default, which Paddle can't: portalign "
        "switches it off.",
    ),
    _row(
        "cyclic, halved each cycle",
        {"name": "cyclic", "max_lr": 0.01, "step_size_up": 12, "mode": "triangular2"},
        'CyclicLR(optimizer, base_lr=lr, max_lr=0.01, step_size_up=12, mode="triangular2", '
        "cycle_momentum=False)",
        'CyclicLR(lr, 0.01, step_size_up=12, mode="triangular2")',
    ),
    _row(
        "cyclic, exponential range",
        {
            "name": "cyclic",
            "max_lr": 0.01,
            "step_size_up": 12,
            "mode": "exp_range",
            "gamma": 0.98,
        },
        'CyclicLR(optimizer, base_lr=lr, max_lr=0.01, step_size_up=12, mode="exp_range", '
        "gamma=0.98, cycle_momentum=False)",
        'CyclicLR(lr, 0.01, step_size_up=12, mode="exp_range", exp_gamma=0.98)',
        "Called gamma in torch and exp_gamma in Paddle.",
    ),
    _row(
        "one cycle",
        {"name": "one_cycle", "max_lr": 0.01, "total": 100},
        "OneCycleLR(optimizer, 0.01, total_steps=100, cycle_momentum=False)",
        "OneCycleLR(0.01, 100, divide_factor=25.0, end_learning_rate=0.01 / 25.0 / 1e4)",
        "Paddle's end LR is a rate (1e-4 by default), torch's the initial rate divided by 1e4: "
        "portalign passes torch's. torch moves the momentum too by default: switched off. The "
        "optimizer's `lr` has no part in it.",
    ),
    _row(
        "one cycle, three phases",
        {
            "name": "one_cycle",
            "max_lr": 0.01,
            "total": 100,
            "pct_start": 0.4,
            "anneal_strategy": "linear",
            "three_phase": True,
        },
        'OneCycleLR(optimizer, 0.01, total_steps=100, pct_start=0.4, anneal_strategy="linear", '
        "three_phase=True, cycle_momentum=False)",
        "OneCycleLR(0.01, 100, divide_factor=25.0, end_learning_rate=0.01 / 25.0 / 1e4, "
        'phase_pct=0.4, anneal_strategy="linear", three_phase=True)',
        "Called pct_start in torch and phase_pct in Paddle.",
    ),
    _row(
        "reduce on plateau",
        {"name": "reduce_on_plateau", "metrics": _LOSSES, "factor": 0.5, "patience": 3},
        "ReduceLROnPlateau(optimizer, factor=0.5, patience=3)",
        "ReduceOnPlateau(lr, factor=0.5, patience=3)",
        "Both sides are fed the same `metrics:`, one for each step.",
    ),
    _row(
        "reduce on plateau, with cooldown",
        {
            "name": "reduce_on_plateau",
            "metrics": _LOSSES,
            "factor": 0.5,
            "patience": 3,
            "cooldown": 4,
        },
        "ReduceLROnPlateau(optimizer, factor=0.5, patience=3, cooldown=4)",
        "ReduceOnPlateau(lr, factor=0.5, patience=3, cooldown=4)",
        agrees_to=math.nan,
        differs_by=0.3,
        why="Paddle doesn't look at the metric during the cooldown, torch does: a best value that "
        "falls into it counts in torch only, and the next reduction comes at another step.",
    ),
    _row(
        "sequential",
        {
            "name": "sequential",
            "schedules": [
                {"name": "linear", "start": 0.1, "total": 10},
                {"name": "cosine", "t_max": 50},
                {"name": "exponential", "gamma": 0.9},
            ],
            "milestones": [10, 60],
        },
        "SequentialLR(optimizer, [LinearLR(...), CosineAnnealingLR(...), ExponentialLR(...)], "
        "[10, 60])",
        "a subclass of LRScheduler",
        "Paddle has none but LinearWarmup in front of a schedule: portalign writes it.",
    ),
    _row(
        "chained",
        {
            "name": "chained",
            "schedules": [
                {"name": "constant", "factor": 0.1, "total_iters": 20},
                {"name": "exponential", "gamma": 0.95},
            ],
        },
        "ChainedScheduler([ConstantLR(...), ExponentialLR(...)], optimizer)",
        "a subclass of LRScheduler",
        "Paddle has none: portalign multiplies the schedules.",
    ),
    _row(
        "constant, with warmup",
        {"name": "constant_warmup", "warmup": 10},
        "get_constant_schedule_with_warmup(optimizer, 10)",
        "LinearWarmup(lr, 10, 0.0, lr)",
    ),
    _row(
        "linear, with warmup",
        {"name": "linear_warmup", "warmup": 10, "total": 90},
        "get_linear_schedule_with_warmup(optimizer, 10, 90)",
        "LinearWarmup(PolynomialDecay(lr, 90 - 10, end_lr=0.0), 10, 0.0, lr)",
        "transformers counts the warmup in `total`, the decay behind Paddle's LinearWarmup "
        "doesn't; PolynomialDecay ends at 1e-4 by default.",
    ),
    _row(
        "cosine, with warmup",
        {"name": "cosine_warmup", "warmup": 10, "total": 90},
        "get_cosine_schedule_with_warmup(optimizer, 10, 90, num_cycles=0.5)",
        "LinearWarmup(CosineAnnealingDecay(lr, T_max=80), 10, 0.0, lr)",
        "`num_cycles` counts whole cosines: 0.5, the default, ends at 0. T_max is half a cosine: "
        "(total - warmup) / (2 num_cycles).",
    ),
    _row(
        "cosine, with warmup, a cycle and a third",
        {"name": "cosine_warmup", "warmup": 10, "total": 90, "num_cycles": 1.3},
        "get_cosine_schedule_with_warmup(optimizer, 10, 90, num_cycles=1.3)",
        "LambdaDecay(lr, factor)",
        "Paddle's T_max is a whole number: portalign gives it the formula, as paddlenlp's "
        "CosineDecayWithWarmup does.",
    ),
    _row(
        "cosine with restarts, with warmup",
        {"name": "cosine_restarts_warmup", "warmup": 10, "total": 90, "num_cycles": 3},
        "get_cosine_with_hard_restarts_schedule_with_warmup(optimizer, 10, 90, num_cycles=3)",
        "LambdaDecay(lr, factor)",
        "Behind a LinearWarmup Paddle's CosineAnnealingWarmRestarts begins again at `total`, "
        "transformers' schedule stays at 0: portalign gives it the formula.",
    ),
    _row(
        "polynomial, with warmup",
        {"name": "polynomial_warmup", "warmup": 10, "total": 90, "power": 2.0},
        "get_polynomial_decay_schedule_with_warmup(optimizer, 10, 90, lr_end=1e-7, power=2.0)",
        "LinearWarmup(PolynomialDecay(lr, 80, end_lr=1e-7, power=2.0), 10, 0.0, lr)",
        "The end LR is 1e-7 by default in transformers and 1e-4 in Paddle: portalign passes it.",
    ),
    _row(
        "inverse square root, with warmup",
        {"name": "inverse_sqrt_warmup", "warmup": 10},
        "get_inverse_sqrt_schedule(optimizer, 10)",
        "LambdaDecay(lr, factor)",
        "Paddle's NoamDecay has another scale, learning_rate / sqrt(d_model): portalign gives the "
        "formula.",
    ),
)


def saw(step: int) -> float:
    """A factor between 1.0 and 1.25, for the rows of lambda and multiplicative schedules."""
    return 1.0 + (step % 6) / 20
