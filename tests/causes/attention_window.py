from __future__ import annotations

import numpy as np

from causes.attention_scale import CAUSAL, TIME, Core, fault

BACK = np.arange(TIME)[:, None] - np.arange(TIME)


def window(n: int) -> Core:
    return Core(mask=CAUSAL + np.where(n <= BACK, -np.inf, 0.0))


FAULTS = (
    fault("attention-window", Core(), window(3), says="sees all places, in the reference a window"),
    fault("attention-window", window(4), window(3), fitted={"candidate window": 4.0}),
)
