from __future__ import annotations

from causes.places import Seeded, glue, random

WORDS, PLACES, TYPES = random(4, 6, 8), random(1, 6, 8, seed=1), random(4, 6, 8, seed=2)
EARLIER = {"words out.0": WORDS, "places out.0": PLACES, "types out.0": TYPES}
RIGHT = WORDS + PLACES + TYPES
CLEAN = glue(RIGHT, TYPES + (PLACES + WORDS), earlier=EARLIER)
FAULTS = (
    Seeded(
        "term-scaled",
        glue(RIGHT, WORDS * 8**0.5 + PLACES + TYPES, earlier=EARLIER),
        CLEAN,
        {"reference factor": 1.0, "candidate factor": 8**0.5},
        says="words out.0 enters times 2.82843 = sqrt(8)",
    ),
    Seeded("term-scaled", glue(WORDS, WORDS * 0.9, earlier=EARLIER), CLEAN, says="times 0.9"),
)
