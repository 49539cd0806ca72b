from __future__ import annotations

import numpy as np

from causes.places import Numbers, Seeded, module, random

X = random(2, 8, 3, 5)
STATE = {"weight": random(8, seed=1), "bias": random(8, seed=2)}


def group_norm(n_groups: int, eps: float = 1e-5) -> Numbers:
    """Group by group, image by image."""
    made = np.empty_like(X)
    for image, out in zip(X, made, strict=True):
        for part in np.split(np.arange(8), n_groups):
            some = image[part]
            normed = (some - some.mean()) / np.sqrt(some.var() + eps)
            weight, bias = (STATE[slot][part, None, None] for slot in ("weight", "bias"))
            out[part] = normed * weight + bias
    return made


GIVEN = {"inputs": {"in.0": X}, "state": STATE}
CLEAN = module(group_norm(4), group_norm(4) * (1 + 1e-16), **GIVEN)  # type: ignore[arg-type]
FAULTS = (
    Seeded(
        "norm-groups",
        module(group_norm(4), group_norm(2), **GIVEN),  # type: ignore[arg-type]
        CLEAN,
        {"reference groups": 4.0, "candidate groups": 2.0},
    ),
    Seeded(
        "norm-groups",
        module(group_norm(8), group_norm(1), **GIVEN),  # type: ignore[arg-type]
        CLEAN,
        says="in 1 groups, the reference in 8",
    ),
    Seeded(
        "norm-eps",
        module(group_norm(4, 1e-5), group_norm(4, 1e-6), **GIVEN),  # type: ignore[arg-type]
        CLEAN,
        {"reference eps": 1e-5, "candidate eps": 1e-6},
    ),
)
