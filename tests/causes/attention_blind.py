from __future__ import annotations

import numpy as np

from causes.attention_scale import EARLIER, TIME, Core
from causes.places import Numbers, Seeded, glue

KEEP = (np.arange(TIME) >= np.array([[3], [0]])).astype(np.int64)  # two rows that see nothing
GIVEN = {"(root) in.attention_mask": KEEP, **EARLIER}
TIMES = (KEEP == 0)[:, None, None] * 1.0 + (np.tri(TIME) == 0)


def made(mask: Numbers) -> Numbers:
    return Core(mask=mask).made()


EVEN, SCORED, SCORED_ONCE = (
    made(np.where(TIMES > 0, -1e30, 0.0)),
    made(np.where(TIMES > 0, -1e4, 0.0)),
    made(TIMES * -1e4),
)
CLEAN = glue(EVEN, made(np.where(TIMES > 0, -1e35, 0.0)), earlier=GIVEN)


def _fault(reference: Numbers, candidate: Numbers, says: str) -> Seeded:
    return Seeded("attention-blind", glue(reference, candidate, earlier=GIVEN), CLEAN, says=says)


FAULTS = (
    _fault(EVEN, SCORED, "sees its keys by their scores (the mask adds a value like -1e4)"),
    _fault(SCORED, EVEN, "sees all keys alike"),
    _fault(EVEN, SCORED_ONCE, "the keys that only one of two masks hides"),
    _fault(made(TIMES * -1e30), SCORED_ONCE, "in the reference alike the keys that only one"),
)
