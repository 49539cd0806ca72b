from __future__ import annotations

from causes.norm_eps import STATE, X, layer_norm, one_pass
from causes.places import Numbers, Seeded, module


def outside(eps: float) -> Numbers:
    made: Numbers = (X - X.mean(-1, keepdims=True)) / (X.std(-1, keepdims=True) + eps)
    return made * STATE["weight"] + STATE["bias"]


FAULTS = (
    Seeded(
        "norm-eps-place",
        module(outside(1e-3), layer_norm(0.0), inputs={"in.0": X}, state=STATE),
        module(layer_norm(1e-5), one_pass(1e-5), inputs={"in.0": X}, state=STATE),
        {"eps outside the root": 1e-3},
    ),
)
