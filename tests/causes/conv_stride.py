from __future__ import annotations

from causes.places import Seeded, module
from causes.weight_flipped import CLEAN, IMAGE, KERNEL, conv

FAULTS = (
    Seeded(
        "conv-stride",
        module(
            conv(IMAGE, KERNEL),
            conv(IMAGE, KERNEL, stride=1),
            inputs={"in.0": IMAGE},
            state={"weight": KERNEL},
        ),
        CLEAN,
        {"reference stride": 2.0, "candidate stride": 1.0},
    ),
)
