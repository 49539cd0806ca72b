from __future__ import annotations

from causes.norm_eps import STATE as NORM
from causes.norm_eps import X as ROWS
from causes.norm_eps import layer_norm, one_pass
from causes.places import Seeded, module, random
from causes.weight_flipped import CLEAN as CONVOLVED
from causes.weight_flipped import IMAGE, KERNEL
from causes.weight_flipped import RIGHT as IMAGES
from causes.weight_transposed import CLEAN, RIGHT, STATE, WEIGHT, X, linear

FAULTS = (
    Seeded(
        "bias-unrelated",
        module(RIGHT, linear(X, WEIGHT, random(6, seed=9)), inputs={"in.0": X}, state=STATE),
        CLEAN,
        says="the candidate adds another bias than the one it was given",
    ),
    Seeded(
        "bias-unrelated",
        module(
            IMAGES + random(6, 1, 1, seed=9),
            IMAGES,
            inputs={"in.0": IMAGE},
            state={"weight": KERNEL},
        ),
        CONVOLVED,
        says="the reference adds a bias where there is none",
    ),
    Seeded(
        "bias-unrelated",
        module(
            layer_norm(1e-5),
            layer_norm(1e-5) + random(16, seed=9),
            inputs={"in.0": ROWS},
            state=NORM,
        ),
        module(layer_norm(1e-5), one_pass(1e-5), inputs={"in.0": ROWS}, state=NORM),
        says="another bias",
    ),
)
