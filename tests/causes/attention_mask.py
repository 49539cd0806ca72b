from __future__ import annotations

import numpy as np

from causes.attention_scale import CAUSAL, MASKED, PADDING, TIME, Core, fault

BOTH, LOOSE = CAUSAL + PADDING, np.where(np.tri(TIME, k=1) > 0, 0.0, -np.inf)
INVERTED = np.where(PADDING == 0, -1e9, 0.0)
PADDED = Core(mask=PADDING)
FAULTS = (
    fault("attention-mask", Core(mask=0.0), says="has no mask, the reference has a causal mask"),
    fault("attention-mask", Core(mask=LOOSE), says="one place of the future through"),
    fault("attention-mask", Core(mask=0.0), PADDED, earlier=MASKED, says="in.attention_mask"),
    fault("attention-mask", Core(), Core(mask=BOTH), earlier=MASKED, says="and the mask (root)"),
    fault("attention-mask", Core(is_late=True), says="laid on after the softmax"),
)
