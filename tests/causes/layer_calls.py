from __future__ import annotations

from causes.places import Seeded, glue, random

EARLIER = {
    "layers.0 out.0": random(2, 5, 8),
    "layers.1.mlp out.0": random(2, 5, 8, seed=1),
    "layers.1 out.0": random(2, 5, 8, seed=2),
    "layers.1 out.0 call 1": random(2, 5, 8, seed=3),
}
FIRST, SECOND, AGAIN = (EARLIER[f"layers.{at}"] for at in ("0 out.0", "1 out.0", "1 out.0 call 1"))
CLEAN = glue(SECOND, 2 * SECOND - SECOND, earlier=EARLIER)
FAULTS = (
    Seeded(
        "layer-calls",
        glue(SECOND, FIRST, earlier=EARLIER),
        CLEAN,
        says="layers.1 is left out: layers.0 out.0 is passed on where the reference passes on",
    ),
    Seeded(
        "layer-calls",
        glue(SECOND, AGAIN, earlier=EARLIER),
        CLEAN,
        says="layers.1 is applied twice",
    ),
)
