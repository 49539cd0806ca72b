from __future__ import annotations

import numpy as np

from causes.attention_scale import CLEAN, EARLIER, RIGHT, Core, fault
from causes.places import Seeded, glue

PACKED = {"attn.qkv out.0": np.concatenate(list(EARLIER.values()), -1)}
BY_HEADS = Core(is_by_heads=True)
FAULTS = (
    fault("attention-packing", BY_HEADS, says="are read as [heads, 3, width]"),
    Seeded(
        "attention-packing",
        glue(BY_HEADS.made(), RIGHT.made(), earlier=PACKED),
        CLEAN,
        says="are read as [3, heads, width]: all of query, then key, then value, in the reference "
        "as [heads, 3, width]",
    ),
)
