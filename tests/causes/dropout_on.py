from __future__ import annotations

import numpy as np

from causes.places import Seeded, glue, module, random

X, BRANCH = random(4, 6, 16), random(4, 6, 16, seed=1)
KEEP = np.random.default_rng(2).random(X.shape) >= 0.1
EARLIER = {"norm out.0": X, "mlp out.0": BRANCH}
ADDED = glue(X + BRANCH, BRANCH + X, earlier=EARLIER)
FAULTS = (
    Seeded(
        "dropout-on",
        module(X, np.where(KEEP, X / 0.9, 0.0), inputs={"in.0": X}),
        module(X, 2 * X - X, inputs={"in.0": X}),
        {"p": 0.1},
        says="in the candidate alone: elements are zero at random, the others times 1.11111",
    ),
    Seeded(
        "dropout-on",
        glue(X + BRANCH, X + KEEP * BRANCH / 0.9, earlier=EARLIER),
        ADDED,
        {"p": 0.1},
    ),
    Seeded(
        "dropout-on",
        glue(X + KEEP * BRANCH / 0.9, X + BRANCH, earlier=EARLIER),
        ADDED,
        says="in the reference",
    ),
)
