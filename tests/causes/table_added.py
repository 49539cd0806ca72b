from __future__ import annotations

import numpy as np

from causes.places import Numbers, Seeded, glue, random

LOOKED_UP = random(2, 40, 64)
EARLIER = {"wte out.0": LOOKED_UP}
PLACES = np.arange(60.0, dtype=np.float32)[:, None]
CHANNELS = np.arange(0, 64, 2, dtype=np.float32)


def table(rates: np.ndarray[tuple[int], np.dtype[np.float32]]) -> Numbers:
    """A float32 sinusoid, sines beside cosines."""
    angles = PLACES * rates
    return np.concatenate([np.sin(angles), np.cos(angles)], -1).astype(np.float64)


BY_POWER = table(np.float32(1.0) / np.power(np.float32(10000.0), CHANNELS / np.float32(64)))
BY_EXP = table(np.exp(CHANNELS * np.float32(-np.log(10000.0) / 64)))
LEARNT = random(60, 64, seed=1)


def made(added: Numbers) -> Numbers:
    return 8.0 * LOOKED_UP + added[:40]


CLEAN = glue(made(BY_POWER), made(BY_POWER) * 1.0, earlier=EARLIER, state={"pos": BY_POWER})
FAULTS = (
    Seeded(
        "table-added",
        glue(
            made(BY_POWER),
            made(BY_EXP),
            earlier=EARLIER,
            state={"pos": BY_POWER},
            other_state={"pos": BY_EXP},
        ),
        CLEAN,
        says="the reference's sinusoid of base 10000 computed in another way in float32",
    ),
    Seeded(
        "table-added",
        glue(
            made(BY_POWER),
            made(LEARNT),
            earlier=EARLIER,
            state={"pos": BY_POWER},
            other_state={"pos": LEARNT},
        ),
        CLEAN,
        says="is another table than the reference's",
    ),
)
