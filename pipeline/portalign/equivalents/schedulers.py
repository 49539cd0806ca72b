"""Learning rate schedules: what torch or transformers and what Paddle build of one entry.

``lr`` stands for the optimizer's own learning rate, the base of every schedule.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from portalign.equivalents.rows import Area, Row

# Curves are a few double operations a point; a recurrence gathers an ulp (1.1e-16) an iteration.
_row = partial(Row, Area.LR_SCHEDULER, agrees_to=1e-14)

ROWS: Final[tuple[Row, ...]] = (
    _row(
        "constant",
        {"name": "constant"},
        "LambdaLR(optimizer, lambda _: 1.0)",
        "LambdaDecay(lr, lambda _: 1.0)",
    ),
    _row(
        "step",
        {"name": "step", "step_size": 30, "gamma": 0.1},
        "StepLR(optimizer, 30, gamma=0.1)",
        "StepDecay(lr, step_size=30, gamma=0.1)",
    ),
    _row(
        "multi-step",
        {"name": "multi_step", "milestones": [20, 50], "gamma": 0.3},
        "MultiStepLR(optimizer, [20, 50], gamma=0.3)",
        "MultiStepDecay(lr, [20, 50], gamma=0.3)",
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
        "cosine",
        {"name": "cosine", "t_max": 60},
        "CosineAnnealingLR(optimizer, 60)",
        "CosineAnnealingDecay(lr, T_max=60)",
    ),
    _row(
        "linear",
        {"name": "linear", "start": 0.25, "total": 20},
        "LinearLR(optimizer, start_factor=0.25, end_factor=1.0, total_iters=20)",
        "LinearLR(lr, total_steps=20, start_factor=0.25, end_factor=1.0)",
        "The second positional argument is a factor in torch and a number of steps in Paddle.",
    ),
    _row(
        "linear, with warmup",
        {"name": "linear_warmup", "warmup": 10, "total": 100},
        "get_linear_schedule_with_warmup(optimizer, 10, 100)",
        "LambdaDecay(lr, factor)",
        "As paddlenlp's LinearDecayWithWarmup.",
    ),
    _row(
        "cosine, with warmup",
        {"name": "cosine_warmup", "warmup": 10, "total": 100},
        "get_cosine_schedule_with_warmup(optimizer, 10, 100, num_cycles=0.5)",
        "LambdaDecay(lr, factor)",
        "As paddlenlp's CosineDecayWithWarmup. `num_cycles` counts whole cosines: 0.5 ends at 0.",
    ),
)
