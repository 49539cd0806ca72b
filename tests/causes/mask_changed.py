from __future__ import annotations

import numpy as np

from causes.places import Seeded, glue

LOWEST = np.finfo(np.float64).min
KEEP = np.array([[1, 1, 1, 0], [1, 1, 0, 0]])
RIGHT = ((1.0 - KEEP) * LOWEST)[:, None, None]
EARLIER = {"(root) in.mask": KEEP}
# Left padding: the first two rows see nothing but padding. Each reason to hide adds its value.
LEFT = np.array([[1, 1, 1, 1], [0, 0, 1, 1]])
TWICE = (1.0 - LEFT)[:, None, None] + np.triu(np.ones((4, 4)), 1)
LEFT_MASK = np.where(TWICE, LOWEST, 0.0)
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
    Seeded(
        "mask-changed",
        glue(LEFT_MASK, TWICE * -1.0e4, earlier=EARLIER),
        glue(LEFT_MASK, np.where(TWICE, LOWEST, 0.0), earlier=EARLIER),
        {"candidate value": -1.0e4},
        says="for each of up to 2 reasons to what it hides, the reference -1.798e+308: it shows in "
        "the 2 of 8 rows whose keys are all masked",
    ),
)
