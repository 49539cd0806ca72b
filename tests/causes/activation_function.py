from __future__ import annotations

import math

import numpy as np

from causes.places import Numbers, Seeded, glue, module, random

X = 2 * random(6, 20)
OTHER = random(6, 20, seed=1)


def gelu_tanh(x: Numbers) -> Numbers:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


GELU = np.vectorize(lambda x: 0.5 * x * math.erfc(-x / math.sqrt(2)))(X)
SILU = X / (1 + np.exp(-X))
FAULTS = (
    Seeded(
        "activation-function",
        module(GELU, gelu_tanh(X), inputs={"in.0": X}),
        module(SILU, X * (0.5 + 0.5 * np.tanh(X / 2)), inputs={"in.0": X}),
        says="gelu (tanh) where the reference has gelu (erf)",
    ),
    Seeded(
        "activation-function",
        glue(SILU, X, earlier={"a out.0": X, "b out.0": OTHER}),
        glue(SILU, X - X / (1 + np.exp(X)), earlier={"a out.0": X, "b out.0": OTHER}),
        says="left out",
    ),
)
