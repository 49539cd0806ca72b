from __future__ import annotations

from itertools import product

import numpy as np

from causes.places import Numbers, Seeded, module, random

IMAGE = random(2, 3, 6, 6)


def pool(how: str) -> Numbers:
    """4 x 4 windows, stride 2, one place of padding."""
    made = np.zeros((2, 3, 3, 3))
    for i, j in product(range(3), repeat=2):
        rows, columns = (slice(max(2 * n - 1, 0), 2 * n + 3) for n in (i, j))
        part = IMAGE[:, :, rows, columns]
        total = part.sum((2, 3))
        n_inside = part.shape[2] * part.shape[3]
        made[:, :, i, j] = {
            "with": total / 16,
            "without": total / n_inside,
            "greatest": part.max((2, 3)),
        }[how]
    return made


CLEAN = module(pool("with"), pool("with") * (1 + 1e-16), inputs={"in.0": IMAGE})
FAULTS = (
    Seeded(
        "pool-kind",
        module(pool("with"), pool("without"), inputs={"in.0": IMAGE}),
        CLEAN,
        says="the pool averages without the padding",
    ),
    Seeded(
        "pool-kind",
        module(pool("with"), pool("greatest"), inputs={"in.0": IMAGE}),
        CLEAN,
        says="the pool takes the greatest",
    ),
)
