from __future__ import annotations

from causes.places import Seeded, module
from causes.weight_transposed import CLEAN, RIGHT, STATE, WEIGHT, X, linear

FAULTS = (
    Seeded(
        "bias-missing",
        module(RIGHT, linear(X, WEIGHT), inputs={"in.0": X}, state=STATE),
        CLEAN,
        says="the candidate adds no bias",
    ),
    Seeded(
        "bias-missing",
        module(linear(X, WEIGHT), RIGHT, inputs={"in.0": X}, state=STATE),
        CLEAN,
        says="the reference adds no bias",
    ),
)
