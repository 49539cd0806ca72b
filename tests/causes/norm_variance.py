from __future__ import annotations

import numpy as np

from causes.norm_eps import STATE, X, layer_norm, one_pass
from causes.places import Seeded, module

CENTRED = X - X.mean(-1, keepdims=True)
UNBIASED = CENTRED / np.sqrt(X.var(-1, keepdims=True, ddof=1) + 1e-5)
UNBIASED = UNBIASED * STATE["weight"] + STATE["bias"]
FAULTS = (
    Seeded(
        "norm-variance",
        module(layer_norm(1e-5), UNBIASED, inputs={"in.0": X}, state=STATE),
        module(layer_norm(1e-5), one_pass(1e-5), inputs={"in.0": X}, state=STATE),
        says="n - 1 = 15",
    ),
)
