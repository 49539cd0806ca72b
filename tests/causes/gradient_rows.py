from __future__ import annotations

import numpy as np

from causes.places import Seeded, gradient, random

RIGHT = random(8, 6)
PADDED = np.where(np.arange(8)[:, None] == 0, 0.0, RIGHT)
CLEAN = gradient(RIGHT, RIGHT, slot="weight")
FAULTS = (
    Seeded(
        "gradient-rows",
        gradient(RIGHT, PADDED, slot="weight"),
        CLEAN,
        says="row 0 gets no gradient in the candidate",
    ),
    Seeded(
        "gradient-rows",
        gradient(PADDED, RIGHT, slot="weight"),
        CLEAN,
        says="row 0 gets no gradient in the reference",
    ),
)
