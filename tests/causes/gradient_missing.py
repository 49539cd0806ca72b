from __future__ import annotations

import numpy as np

from causes.places import Seeded, gradient, random

INNER, RESIDUAL, OTHER = random(4, 6), random(4, 6, seed=1), random(4, 6, seed=2)
SOURCES = {"grad other out.0": OTHER, "grad dense out.0": RESIDUAL}
CLEAN = gradient(INNER + RESIDUAL, RESIDUAL + INNER, sources=SOURCES)
SCORES, STATES = random(5, 7, seed=3), random(5, 6, seed=4)  # of a head tied to a table [7, 6]
LOOKED_UP = np.where(np.arange(7)[:, None] == 2, random(7, 6, seed=5), 0.0)
WITH = {"grad head out.0": SCORES, "norm out.0": STATES}
BOTH = LOOKED_UP + SCORES.T @ STATES
FAULTS = (
    Seeded(
        "gradient-missing",
        gradient(INNER + RESIDUAL, INNER, sources=SOURCES),
        CLEAN,
        says="lacks a part that equals the one of dense out.0",
    ),
    Seeded(
        "gradient-missing",
        gradient(INNER, INNER + RESIDUAL, sources=SOURCES),
        CLEAN,
        says="has a part that equals the one of dense out.0",
    ),
    Seeded(
        "gradient-missing",
        gradient(BOTH, LOOKED_UP, slot="weight", sources=WITH),
        gradient(BOTH, BOTH, slot="weight", sources=WITH),
        says="the one of head out.0 with norm out.0",
    ),
)
