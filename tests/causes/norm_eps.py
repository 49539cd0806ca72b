from __future__ import annotations

import numpy as np

from causes.places import Numbers, Seeded, module, random

X, WEIGHT, BIAS = random(5, 16), 1 + 0.2 * random(16, seed=1), random(16, seed=2)
STATE = {"weight": WEIGHT, "bias": BIAS}


def layer_norm(eps: float, *, x: Numbers = X) -> Numbers:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(x.var(-1, keepdims=True) + eps) * WEIGHT + BIAS


def rms_norm(eps: float) -> Numbers:
    return X / np.sqrt((X**2).mean(-1, keepdims=True) + eps) * WEIGHT


def one_pass(eps: float) -> Numbers:
    variance = (X * X).mean(-1, keepdims=True) - X.mean(-1, keepdims=True) ** 2
    return (X - X.mean(-1, keepdims=True)) * (variance + eps) ** -0.5 * WEIGHT + BIAS


FAULTS = (
    Seeded(
        "norm-eps",
        module(layer_norm(1e-12), layer_norm(1e-5), inputs={"in.0": X}, state=STATE),
        module(layer_norm(1e-12), one_pass(1e-12), inputs={"in.0": X}, state=STATE),
        {"reference eps": 1e-12, "candidate eps": 1e-5},
    ),
    Seeded(
        "norm-eps",
        module(rms_norm(1.5e-6), rms_norm(3e-4), inputs={"in.0": X}, state={"weight": WEIGHT}),
        module(rms_norm(1.5e-6), rms_norm(1.5e-6), inputs={"in.0": X}, state={"weight": WEIGHT}),
        {"reference eps": 1.5e-6, "candidate eps": 3e-4},
    ),
)
