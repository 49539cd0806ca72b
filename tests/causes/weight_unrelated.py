from __future__ import annotations

import numpy as np

from causes.places import Seeded, module, random
from causes.weight_flipped import KERNEL, conv
from causes.weight_transposed import BIAS, STATE, WEIGHT, linear

X = random(5, 4, 6)  # 20 rows tell a matrix of width 6
RIGHT = linear(X, WEIGHT, BIAS)
OTHER = 0.1 * random(6, 6, seed=9)
CLEAN = module(RIGHT, np.einsum("bti,oi->bto", X, WEIGHT) + BIAS, inputs={"in.0": X}, state=STATE)
IMAGE = random(3, 4, 9, 9)  # 75 places tell a kernel of 18 numbers
CONV, OTHERS = {"weight": KERNEL}, 0.1 * random(6, 2, 3, 3, seed=9)
TABLE, IDS = random(9, 6), np.array([[3, 1, 0, 4, 1], [3, 0, 5, 1, 4]])
FAULTS = (
    Seeded(
        "weight-unrelated",
        module(RIGHT, linear(X, OTHER, BIAS), inputs={"in.0": X}, state=STATE),
        CLEAN,
        fitted={"standard deviation": float(OTHER.std())},
        says="the candidate multiplies by another matrix",
    ),
    Seeded(
        "weight-unrelated",
        module(linear(X, OTHER, BIAS), RIGHT, inputs={"in.0": X}, state=STATE),
        CLEAN,
        says="the reference multiplies by another matrix",
    ),
    Seeded(
        "weight-unrelated",
        module(TABLE[IDS], OTHER[IDS % 6], inputs={"in.0": IDS}, state={"weight": TABLE}),
        module(TABLE[IDS], np.eye(9)[IDS] @ TABLE, inputs={"in.0": IDS}, state={"weight": TABLE}),
        says="looks ids up in another table",
    ),
    *(
        Seeded(
            "weight-unrelated",
            module(conv(IMAGE, ours), conv(IMAGE, theirs), inputs={"in.0": IMAGE}, state=CONV),
            module(
                conv(IMAGE, KERNEL), conv(IMAGE, -KERNEL) * -1.0, inputs={"in.0": IMAGE}, state=CONV
            ),
            says=f"the {side} convolves with another kernel",
        )
        for ours, theirs, side in (
            (KERNEL, OTHERS, "candidate"),
            (OTHERS, KERNEL, "reference"),
        )
    ),
)
