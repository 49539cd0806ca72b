from __future__ import annotations

from causes.logits_cap import CLEAN, EARLIER, STATE, X, head
from causes.places import Seeded, glue

FAULTS = (
    Seeded(
        "input-replaced",
        glue(head(X, 30.0), head(EARLIER["layers.1 out.0"], 30.0), earlier=EARLIER, state=STATE),
        CLEAN,
        says="it is applied to layers.1 out.0, in the reference to norm out.0",
    ),
)
