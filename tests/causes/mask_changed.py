from __future__ import annotations

import numpy as np

from causes.places import Seeded, glue

LOWEST = np.finfo(np.float64).min
KEEP = np.array([[1, 1, 1, 0], [1, 1, 0, 0]])
RIGHT = ((1.0 - KEEP) * LOWEST)[:, None, None]
EARLIER = {"(root) in.mask": KEEP}
CLEAN = glue(RIGHT, np.where(KEEP, 0.0, LOWEST)[:, None, None], earlier=EARLIER)
FAULTS = (
    Seeded(
        "mask-changed",
        glue(RIGHT, (KEEP * LOWEST)[:, None, None], earlier=EARLIER),
        CLEAN,
        says="the mask is inverted",
    ),
    Seeded(
        "mask-changed",
        glue(RIGHT, ((1.0 - KEEP) * -8.0)[:, None, None], earlier=EARLIER),
        CLEAN,
        {"candidate value": -8.0},
    ),
)
