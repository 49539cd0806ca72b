from __future__ import annotations

from causes.places import Seeded, gradient, random

RIGHT = random(4, 6)
CLEAN = gradient(RIGHT, RIGHT, slot="weight", trainable=(True, True))
FAULTS = (
    Seeded(
        "parameter-frozen",
        gradient(RIGHT, 0 * RIGHT, slot="weight", trainable=(True, False)),
        CLEAN,
        says="in the candidate: it is frozen there",
        is_hint=True,
    ),
    Seeded(
        "parameter-frozen",
        gradient(0 * RIGHT, RIGHT, slot="weight"),
        CLEAN,
        says="weight gets no gradient in the reference",
        is_hint=True,
    ),
)
