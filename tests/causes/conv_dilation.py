from __future__ import annotations

import numpy as np

from causes.places import Seeded, module
from causes.weight_flipped import CLEAN, IMAGE, KERNEL, conv

SPREAD = np.zeros((*KERNEL.shape[:2], 5, 5))
SPREAD[:, :, ::2, ::2] = KERNEL
FAULTS = (
    Seeded(
        "conv-dilation",
        module(
            conv(IMAGE, KERNEL, stride=1, pad=(1, 1)),
            conv(IMAGE, SPREAD, stride=1, pad=(1, 1)),
            inputs={"in.0": IMAGE},
            state={"weight": KERNEL},
        ),
        CLEAN,
        {"reference dilation": 1.0, "candidate dilation": 2.0},
    ),
)
