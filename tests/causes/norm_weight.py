from __future__ import annotations

import numpy as np

from causes.norm_eps import STATE, WEIGHT, X, layer_norm, one_pass
from causes.places import Seeded, module, random

PLAIN = (layer_norm(1e-5) - STATE["bias"]) / WEIGHT
FAULTS = tuple(
    Seeded(
        "norm-weight",
        module(layer_norm(1e-5), PLAIN * scale + STATE["bias"], inputs={"in.0": X}, state=STATE),
        module(layer_norm(1e-5), one_pass(1e-5), inputs={"in.0": X}, state=STATE),
        says=says,
    )
    for scale, says in (
        (1 + WEIGHT, "by 1 + w where"),
        (np.ones_like(WEIGHT), "by no weight"),
        (random(16, seed=9), "by another weight than the one it was given where"),
    )
)
