from __future__ import annotations

import numpy as np

from causes.places import Numbers, Seeded, module, random

X, SHAPE = 1.5 * random(4, 3, 5, 5) + 0.5, (1, 3, 1, 1)
STATE = {
    "weight": random(3, seed=1),
    "bias": random(3, seed=2),
    "running_mean": random(3, seed=3),
    "running_var": 0.5 + random(3, seed=4) ** 2,
}


def batch_norm(mean: Numbers, variance: Numbers) -> Numbers:
    x = (X - mean.reshape(SHAPE)) / np.sqrt(variance.reshape(SHAPE) + 1e-5)
    return x * STATE["weight"].reshape(SHAPE) + STATE["bias"].reshape(SHAPE)


MEAN, VARIANCE = STATE["running_mean"], STATE["running_var"]
RIGHT = batch_norm(MEAN, VARIANCE)
GAIN = STATE["weight"] / np.sqrt(VARIANCE + 1e-5)
FOLDED = X * GAIN.reshape(SHAPE) + (STATE["bias"] - MEAN * GAIN).reshape(SHAPE)
FAULTS = tuple(
    Seeded(
        "bn-statistics",
        module(RIGHT, wrong, inputs={"in.0": X}, state=STATE),
        module(RIGHT, FOLDED, inputs={"in.0": X}, state=STATE),
        says=says,
    )
    for wrong, says in (
        (batch_norm(X.mean((0, 2, 3)), X.var((0, 2, 3))), "train mode"),
        (batch_norm(np.zeros(3), np.ones(3)), "initial statistics"),
        (batch_norm(np.zeros(3), VARIANCE), "a running mean of 0"),
        (batch_norm(MEAN, np.ones(3)), "a running variance of 1"),
        (batch_norm(MEAN, VARIANCE**2), "as the standard deviation"),
    )
)
