from __future__ import annotations

import ml_dtypes
import numpy as np

from causes.places import Seeded, module
from causes.weight_transposed import BIAS, CLEAN, RIGHT, WEIGHT, X, linear

SINGLE = WEIGHT.astype(np.float32)
STATE = {"weight": SINGLE.astype(np.float64), "bias": BIAS}
FAULTS = tuple(
    Seeded(
        "weight-rounded",
        module(
            linear(X, STATE["weight"], BIAS),
            linear(X, SINGLE.astype(dtype).astype(np.float64), BIAS),
            inputs={"in.0": X},
            state=STATE,
        ),
        CLEAN,
        says=np.dtype(dtype).name,
    )
    for dtype in (ml_dtypes.bfloat16, np.float16)
)
assert RIGHT.shape == X.shape
