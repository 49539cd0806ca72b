from __future__ import annotations

from causes.places import Seeded, gradient, random

RIGHT = random(4, 6)
CLEAN = gradient(RIGHT, RIGHT)
FAULTS = (
    Seeded(
        "gradient-cut", gradient(RIGHT, 0 * RIGHT), CLEAN, says="in the candidate", is_hint=True
    ),
    Seeded(
        "gradient-cut", gradient(0 * RIGHT, RIGHT), CLEAN, says="in the reference", is_hint=True
    ),
)
