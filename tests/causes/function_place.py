from __future__ import annotations

import numpy as np

from causes.places import Seeded, glue, random

BRANCH, SHORT = random(4, 6, 8), random(4, 6, 8, seed=1)
EARLIER = {"norm out.0": BRANCH, "short out.0": SHORT}
RIGHT = np.maximum(BRANCH + SHORT, 0)
CLEAN = glue(RIGHT, (BRANCH + SHORT) * (BRANCH + SHORT > 0), earlier=EARLIER)
FAULTS = (
    Seeded(
        "function-place",
        glue(RIGHT, np.maximum(BRANCH, 0) + SHORT, earlier=EARLIER),
        CLEAN,
        says="relu of norm out.0 + short out.0, the reference relu of (",
    ),
    Seeded("function-place", glue(RIGHT, BRANCH + SHORT, earlier=EARLIER), CLEAN),
)
