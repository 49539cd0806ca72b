from __future__ import annotations

from causes.places import Numbers, Seeded, module, random

X, WEIGHT, BIAS = random(7, 6), random(6, 6, seed=1), random(6, seed=2)
STATE = {"weight": WEIGHT, "bias": BIAS}


def linear(x: Numbers, weight: Numbers, bias: Numbers | float = 0.0) -> Numbers:
    return x @ weight.T + bias


RIGHT = linear(X, WEIGHT, BIAS)
CLEAN = module(
    RIGHT, (WEIGHT @ X.T).T + BIAS, inputs={"in.0": X}, state=STATE, module_type="Linear"
)
FAULTS = (
    Seeded(
        "weight-transposed",
        module(RIGHT, linear(X, WEIGHT.T, BIAS), inputs={"in.0": X}, state=STATE),
        CLEAN,
        says="[6, 6] transposed",
    ),
)
