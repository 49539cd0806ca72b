from __future__ import annotations

from causes.places import Seeded, gradient, random

RIGHT = random(4, 6)
FAULTS = (
    Seeded(
        "gradient-scaled",
        gradient(RIGHT, RIGHT / 2),
        gradient(RIGHT, RIGHT),
        fitted={"factor": 0.5},
        says="0.5 = 1/2 times",
    ),
    Seeded(
        "gradient-scaled",
        gradient(RIGHT, -RIGHT),
        gradient(RIGHT, RIGHT),
        fitted={"factor": -1.0},
    ),
)
