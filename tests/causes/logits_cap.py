from __future__ import annotations

import numpy as np

from causes.places import Numbers, Seeded, glue, random

X, TABLE = random(3, 5, 8), 3 * random(11, 8, seed=1)
EARLIER = {"layers.1 out.0": random(3, 5, 8, seed=2), "norm out.0": X}
STATE = {"embed.weight": TABLE}


def head(x: Numbers, cap: float | None) -> Numbers:
    logits = x @ TABLE.T
    return logits if cap is None else cap * np.tanh(logits / cap)


def by_expm1(cap: float) -> Numbers:
    grown = np.expm1(2 * (X @ TABLE.T) / cap)
    return cap * grown / (grown + 2)


CLEAN = glue(head(X, 30.0), by_expm1(30.0), earlier=EARLIER, state=STATE)
FAULTS = (
    Seeded(
        "logits-cap",
        glue(head(X, 30.0), head(X, None), earlier=EARLIER, state=STATE),
        CLEAN,
        {"reference cap": 30.0},
        says="is none, in the reference 30",
    ),
    Seeded(
        "logits-cap",
        glue(head(X, 30.0), head(X, 22.5), earlier=EARLIER, state=STATE),
        CLEAN,
        {"reference cap": 30.0, "candidate cap": 22.5},
    ),
)
