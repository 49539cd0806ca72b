from __future__ import annotations

from causes.attention_mask import PADDED
from causes.attention_scale import MASKED, PADDING, RIGHT, Core, fault

USUAL = (0.25, 0.0625, 0.015625, 0.00390625)
ALIBI = Core(slopes=USUAL)
FAULTS = (
    fault("attention-slopes", RIGHT, ALIBI, says="ALiBi is missing: the reference lowers"),
    fault("attention-slopes", ALIBI, RIGHT, says="lowered by (0.25 = 1/4, 0.0625 = 1/16"),
    fault(
        "attention-slopes",
        Core(slopes=tuple(-slope for slope in USUAL)),
        ALIBI,
        says="ALiBi has the other sign",
    ),
    fault(
        "attention-slopes",
        Core(slopes=(0.5, 0.25, 0.125, 0.0625)),
        ALIBI,
        fitted={"reference slope": 0.25, "candidate slope": 0.5},
        says="in the reference (0.25",
    ),
    fault(
        "attention-slopes",
        PADDED,
        Core(slopes=USUAL, mask=PADDING),
        earlier=MASKED,
        says="ALiBi is missing",
    ),
)
