from __future__ import annotations

import numpy as np

from causes.places import Numbers, Seeded, glue, random

GATE, UP = random(4, 6, 8), random(4, 6, 8, seed=1)
EARLIER = {"gate out.0": GATE, "up out.0": UP}


def silu(x: Numbers) -> Numbers:
    return x / (1 + np.exp(-x))


RIGHT = silu(GATE) * UP
CLEAN = glue(RIGHT, UP * GATE / (1 + np.exp(-GATE)), earlier=EARLIER)
FAULTS = (
    Seeded(
        "gate-swapped",
        glue(RIGHT, silu(UP) * GATE, earlier=EARLIER),
        CLEAN,
        says="runs over up out.0, in the reference over gate out.0",
    ),
    Seeded(
        "activation-function",
        glue(RIGHT, np.maximum(GATE, 0) * UP, earlier=EARLIER),
        CLEAN,
        says="relu where the reference has silu",
    ),
)
