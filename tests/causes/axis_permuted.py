from __future__ import annotations

import numpy as np

from causes.places import Seeded, glue, random

IMAGE = random(2, 3, 4, 4)
ROWS = random(5, 12)
EARLIER = {"other out.0": random(5, 4)}
CLEAN = glue(ROWS, ROWS[:, np.argsort(np.arange(12))], earlier=EARLIER)
FAULTS = tuple(
    Seeded("axis-permuted", glue(right, wrong, earlier=EARLIER), CLEAN, says=says)
    for right, wrong, says in (
        (IMAGE, IMAGE[:, ::-1], "axis 1 of 3 stands in reverse order"),
        (ROWS, np.roll(ROWS, 6, axis=1), "in blocks of 6 in the order 1 0"),
        (ROWS, ROWS.reshape(5, 3, 4).swapaxes(1, 2).reshape(5, 12), "as [4, 3] where"),
        (ROWS, ROWS[[2, 0, 1, 4, 3]], "in another order, which begins 2 0 1 4 3"),
    )
)
