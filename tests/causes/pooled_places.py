from __future__ import annotations

import numpy as np

from causes.places import Seeded, glue, random

STATES = random(3, 6, 8)
MASK = (np.arange(6) < np.array([[6], [4], [5]])).astype(np.int64)
EARLIER = {"(root) in.mask": MASK, "gru out.0": STATES}
MEAN = (STATES * MASK[..., None]).sum(1) / MASK.sum(1, keepdims=True)
LAST = STATES[np.arange(3), MASK.sum(1) - 1]
RIGHT = np.concatenate([MEAN, LAST], axis=-1)
AGAIN = np.einsum("bt,btd->bd", MASK / MASK.sum(1, keepdims=True), STATES)
CLEAN = glue(RIGHT, np.concatenate([AGAIN, LAST], axis=-1), earlier=EARLIER)
FAULTS = (
    Seeded(
        "pooled-places",
        glue(STATES[:, 0], STATES[:, -1], earlier=EARLIER),
        CLEAN,
        says="the last of gru out.0 along axis 1 is taken, in the reference the first",
    ),
    Seeded(
        "pooled-places",
        glue(RIGHT, np.concatenate([STATES.mean(1), LAST], axis=-1), earlier=EARLIER),
        CLEAN,
        says="the mean beside the last before the padding",
    ),
    Seeded(
        "pooled-places",
        glue(RIGHT, np.concatenate([LAST, MEAN], axis=-1), earlier=EARLIER),
        CLEAN,
        says="the last before the padding beside the mean without padding of",
    ),
    Seeded(
        "pooled-places",
        glue(STATES.sum(0, keepdims=True), 0 * STATES[:1], earlier={"lstm out.1": STATES}),
        CLEAN,
        says="zeros of lstm out.1 along axis 0",
    ),
)
