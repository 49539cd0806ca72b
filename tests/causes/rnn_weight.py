from __future__ import annotations

import ml_dtypes
import numpy as np

from causes.places import Seeded, module
from causes.rnn_gates import CLEAN, STATE, Lstm, X

SINGLE = {name: values.astype(np.float32).astype(np.float64) for name, values in STATE.items()}
RIGHT = Lstm(state=SINGLE).made()
HIDDEN = {name: values for name, values in SINGLE.items() if name.startswith("weight_hh")}
TURNED = {n: np.concatenate([g.T for g in np.split(w, 4)]) for n, w in HIDDEN.items()}
ROUNDED = {
    n: w.astype(np.float32).astype(ml_dtypes.bfloat16).astype(np.float64) for n, w in HIDDEN.items()
}
FAULTS = tuple(
    Seeded(
        "rnn-weight",
        module(RIGHT, Lstm(state={**SINGLE, **wrong}).made(), inputs={"in.0": X}, state=SINGLE),
        CLEAN,
        says=says,
    )
    for wrong, says in (
        (TURNED, "the hidden weights transposed gate by gate"),
        (ROUNDED, "rounded through bfloat16"),
    )
)
