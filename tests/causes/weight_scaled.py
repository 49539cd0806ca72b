from __future__ import annotations

from causes.norm_eps import STATE as NORM
from causes.norm_eps import X as ROWS
from causes.norm_eps import layer_norm, one_pass
from causes.places import Seeded, module
from causes.weight_rows import IDS, LOOKED_UP, TABLE
from causes.weight_transposed import BIAS, CLEAN, RIGHT, STATE, WEIGHT, X, linear

FAULTS = (
    Seeded(
        "weight-scaled",
        module(RIGHT, linear(X, 1.25 * WEIGHT, BIAS), inputs={"in.0": X}, state=STATE),
        CLEAN,
        {"factor": 1.25},
    ),
    Seeded(
        "weight-scaled",
        module(8**0.5 * TABLE[IDS], TABLE[IDS], inputs={"in.0": IDS}, state={"weight": TABLE}),
        LOOKED_UP,
        {"factor": 8**0.5},
        says="the reference uses the weight times 2.82843 = sqrt(8)",
    ),
    Seeded(
        "weight-scaled",
        module(
            layer_norm(1e-5),
            0.5 * (layer_norm(1e-5) - NORM["bias"]) + NORM["bias"],
            inputs={"in.0": ROWS},
            state=NORM,
        ),
        module(layer_norm(1e-5), one_pass(1e-5), inputs={"in.0": ROWS}, state=NORM),
        {"factor": 0.5},
    ),
)
