from __future__ import annotations

import numpy as np

from causes.places import Seeded, gradient, random

X, GIVEN = random(4, 6), random(4, 6, seed=1)
SOURCES = {"grad act out.0": GIVEN}
TANH = (1 - np.tanh(X) ** 2) * GIVEN
FAULTS = (
    Seeded(
        "backward-function",
        gradient(TANH, GIVEN, sources=SOURCES, own=X),
        gradient(TANH, GIVEN / np.cosh(X) ** 2, sources=SOURCES, own=X),
        says="that of identity where the reference has that of tanh",
    ),
)
