from __future__ import annotations

import numpy as np

from causes.places import Seeded, module, random
from causes.weight_transposed import BIAS, STATE, WEIGHT, linear

X = random(5, 4, 6)  # 20 rows tell a matrix of width 6
RIGHT = linear(X, WEIGHT, BIAS)
OTHER = 0.1 * random(6, 6, seed=9)
CLEAN = module(RIGHT, np.einsum("bti,oi->bto", X, WEIGHT) + BIAS, inputs={"in.0": X}, state=STATE)
FAULTS = (
    Seeded(
        "weight-unrelated",
        module(RIGHT, linear(X, OTHER, BIAS), inputs={"in.0": X}, state=STATE),
        CLEAN,
        fitted={"standard deviation": float(OTHER.std())},
        says="the candidate multiplies by another matrix",
    ),
    Seeded(
        "weight-unrelated",
        module(linear(X, OTHER, BIAS), RIGHT, inputs={"in.0": X}, state=STATE),
        CLEAN,
        says="the reference multiplies by another matrix",
    ),
)
