from __future__ import annotations

import numpy as np

from causes.norm_eps import STATE, X, layer_norm, one_pass
from causes.places import Seeded, module

RMS = X / np.sqrt((X**2).mean(-1, keepdims=True) + 1e-5) * STATE["weight"] + STATE["bias"]
CLEAN = module(layer_norm(1e-5), one_pass(1e-5), inputs={"in.0": X}, state=STATE)
FAULTS = (
    Seeded(
        "norm-kind",
        module(layer_norm(1e-5), RMS, inputs={"in.0": X}, state=STATE),
        CLEAN,
        says="doesn't subtract the mean",
    ),
    Seeded(
        "norm-kind",
        module(RMS, layer_norm(1e-5), inputs={"in.0": X}, state=STATE),
        CLEAN,
        says="the reference's doesn't",
    ),
)
