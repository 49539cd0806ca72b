from __future__ import annotations

from causes.places import Seeded, module
from causes.weight_flipped import CLEAN, IMAGE, KERNEL, conv

EVEN = IMAGE[..., :6, :6]
FAULTS = (
    Seeded(
        "conv-padding",
        module(
            conv(EVEN, KERNEL),
            conv(EVEN, KERNEL, pad=(0, 1)),
            inputs={"in.0": EVEN},
            state={"weight": KERNEL},
        ),
        CLEAN,
        says="by 0 before the first place and by 1 after the last",
    ),
)
