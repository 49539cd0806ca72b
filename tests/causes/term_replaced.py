from __future__ import annotations

from causes.places import Seeded, glue, random

INPUT, NORMED, BRANCH = random(4, 6, 8), random(4, 6, 8, seed=1), random(4, 6, 8, seed=2)
EARLIER = {"norm in.0": INPUT, "norm out.0": NORMED, "mlp out.0": BRANCH}
FAULTS = (
    Seeded(
        "term-replaced",
        glue(INPUT + BRANCH, NORMED + BRANCH, earlier=EARLIER),
        glue(INPUT + BRANCH, BRANCH + INPUT, earlier=EARLIER),
        says="norm out.0 is taken where the reference takes norm in.0",
    ),
    Seeded(
        "term-replaced",
        glue(NORMED, INPUT, earlier=EARLIER),
        glue(NORMED, 2 * NORMED - NORMED, earlier=EARLIER),
        says="norm in.0 is taken",
    ),
)
