from __future__ import annotations

from causes.places import Seeded, glue
from causes.term_scaled import CLEAN, EARLIER, PLACES, RIGHT, TYPES, WORDS

FAULTS = (
    Seeded(
        "term-missing",
        glue(RIGHT, WORDS + PLACES, earlier=EARLIER),
        CLEAN,
        says="types out.0 is left out",
    ),
    Seeded(
        "term-missing",
        glue(WORDS, WORDS + TYPES, earlier=EARLIER),
        CLEAN,
        says="types out.0 is added too much",
    ),
)
