from __future__ import annotations

import numpy as np

from causes.places import Seeded, glue, module, random

TABLE = random(7, 8)
IDS = np.array([[3, 1, 0, 0], [2, 0, 5, 6]])
RIGHT, KEEP = TABLE[IDS], (IDS != 0)[..., None]
CLEAN = module(RIGHT, np.eye(7)[IDS] @ TABLE, inputs={"in.0": IDS}, state={"weight": TABLE})
FAULTS = (
    Seeded(
        "padding-row",
        module(RIGHT, RIGHT * KEEP, inputs={"in.0": IDS}, state={"weight": TABLE}),
        CLEAN,
        {"id": 0.0},
    ),
    Seeded(
        "padding-row",
        glue(RIGHT, RIGHT * KEEP, earlier={"(root) in.ids": IDS, "embed out.0": RIGHT}),
        CLEAN,
        {"id": 0.0},
    ),
)
