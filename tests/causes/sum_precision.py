from __future__ import annotations

import numpy as np

from causes.places import Numbers, Seeded, in_float32, module, random
from portalign.diagnose.low import through

X, WEIGHT = random(3, 9, 64), random(12, 64, seed=1)
RIGHT = X @ WEIGHT.T
GIVEN = {"inputs": {"in.0": X}, "state": {"weight": WEIGHT}}
CLEAN = module(RIGHT, np.einsum("bti,oi->bto", X, WEIGHT), **GIVEN)  # type: ignore[arg-type]


def summed(name: str, size: int) -> Numbers:
    total = np.zeros_like(RIGHT)
    for start in range(0, 64, size):
        part = slice(start, start + size)
        total = through(total + np.einsum("bti,oi->bto", X[..., part], WEIGHT[:, part]), name)
    return total


FAULTS = tuple(
    Seeded(
        "sum-precision",
        in_float32(module(ours, theirs, **GIVEN)),  # type: ignore[arg-type]
        CLEAN,
        says=says,
        twin=CLEAN,
    )
    for ours, theirs, says in (
        (
            RIGHT,
            summed("bfloat16", 16),
            "candidate rounds the running sum of a product to bfloat16",
        ),
        (summed("float16", 32), RIGHT, "to float16 after every 32 products"),
    )
)
