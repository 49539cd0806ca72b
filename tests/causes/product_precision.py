from __future__ import annotations

import numpy as np

from causes.places import Numbers, Seeded, module
from causes.weight_transposed import BIAS, CLEAN, RIGHT, STATE, WEIGHT, X, linear
from portalign.diagnose.low import through


def _low(name: str) -> Numbers:
    return linear(through(X, name), through(WEIGHT, name), BIAS)


def _fault(reference: Numbers, candidate: Numbers, says: str) -> Seeded:
    sides = (
        np.asarray(np.asarray(each, np.float32), np.float64) for each in (reference, candidate)
    )
    site = module(*sides, inputs={"in.0": X}, state=STATE)
    return Seeded("product-precision", site, CLEAN, says=says, twin=CLEAN)


FAULTS = (
    _fault(RIGHT, _low("TF32"), "the candidate rounds both operands of the product through TF32"),
    _fault(_low("bfloat16"), RIGHT, "the reference rounds both operands of the product through bf"),
)
