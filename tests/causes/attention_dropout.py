from __future__ import annotations

import numpy as np

from causes.places import Numbers, Seeded, glue, random

BATCH, TIME, HEADS, WIDTH = 3, 6, 2, 8
EARLIER = {
    f"attn.{name} out.0": random(BATCH, TIME, HEADS * WIDTH, seed=at)
    for at, name in enumerate("qkv")
}


def core(dropout: float) -> Numbers:
    query, key, value = (x.reshape(BATCH, TIME, HEADS, WIDTH) for x in EARLIER.values())
    scores = np.einsum("bqhd,bkhd->bhqk", query, key) / WIDTH**0.5
    weights = np.exp(scores + np.where(np.tri(TIME) > 0, 0.0, -np.inf))
    weights = weights / weights.sum(-1, keepdims=True)
    keep = np.random.default_rng(3).random(weights.shape) >= dropout
    return np.einsum("bhqk,bkhd->bqhd", weights * keep / (1.0 - dropout), value).reshape(
        BATCH, TIME, -1
    )


CLEAN = glue(core(0.0), -core(0.0) + 2 * core(0.0), earlier=EARLIER)
FAULTS = (
    Seeded(
        "attention-dropout",
        glue(core(0.0), core(0.1), earlier=EARLIER),
        CLEAN,
        says="dropout is left on in the candidate's attention",
    ),
)
