from __future__ import annotations

import numpy as np

from causes.places import Numbers, Seeded, glue

TYPES = np.array([[0, 0, 1, 1], [0, 1, 1, 0]])
EARLIER = {"(root) in.types": TYPES}
PLACES = np.arange(4)[None]


def place(right: Numbers, wrong: Numbers, rule: str = "ids-changed", says: str = "") -> Seeded:
    return Seeded(rule, glue(right, wrong, earlier=EARLIER), CLEAN, says=says)


CLEAN = glue(TYPES, TYPES.copy(), earlier=EARLIER)
FAULTS = (
    place(PLACES, PLACES + 2, says="they start at 2 where the reference's start at 0"),
    place(TYPES, 0 * TYPES, says="the ids are all 0, the reference takes (root) in.types"),
)
