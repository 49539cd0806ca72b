from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from causes.attention_scale import BATCH, EARLIER, HEADS, TIME, WIDTH, Core
from causes.places import Numbers, Seeded, gradient, random

RIGHT = random(4, 6)
CLEAN = gradient(RIGHT, RIGHT)
T = random(5, 6)


def proved(
    right: Numbers,
    sources: Mapping[str, Numbers],
    *,
    state: Mapping[str, Numbers] | None = None,
    is_reference: bool = False,
    own: Numbers | None = None,
    name: str = "fc out.0",
) -> Seeded:
    """A tensor to which nothing comes back on one side, and what it was used in."""
    sides = (0 * right, right) if is_reference else (right, 0 * right)
    of = {"own": T if own is None else own, "name": name, "sources": sources, "state": state}
    faulty, clean = gradient(*sides, **of), gradient(right, 1.0 * right, **of)
    says = f"in the {'reference' if is_reference else 'candidate'}"
    return Seeded("gradient-cut", faulty, clean, says=says)


MATRIX, BACK, RESIDUAL = random(3, 6, seed=1), random(5, 3, seed=2), random(5, 6, seed=3)
OF_LINEAR = {"grad head out.0": BACK}
WITH = {"head.weight": MATRIX}
CURVED = np.tanh(T)
GATE = random(5, 6, seed=4)
SCALE, SHIFT = 1.0 + 0.1 * random(6, seed=5), random(6, seed=6)
OF_NORM = SCALE * RESIDUAL


def normed(axis: int) -> tuple[Numbers, Numbers]:
    """A norm over an axis: its output, and what comes back through it of `RESIDUAL`."""
    deviation = np.sqrt(T.var(axis, keepdims=True) + 1e-5)
    inner = (T - T.mean(axis, keepdims=True)) / deviation
    mean, along = (v.mean(axis, keepdims=True) for v in (OF_NORM, OF_NORM * inner))
    return inner * SCALE + SHIFT, (OF_NORM - mean - inner * along) / deviation


NORM = {"norm.weight": SCALE, "norm.bias": SHIFT}
CORE = Core(rotary="half")  # grouped keys and values, causal
CONTEXT, PROJECTION = CORE.made(), random(5, HEADS * WIDTH, seed=7)
OF_CONTEXT, PROJECTED = random(BATCH, TIME, 5, seed=8), {"o.weight": PROJECTION}
AROUND = dict(reversed(EARLIER.items()))


def sent_back(name: str) -> Numbers:
    """What comes back to query, key or value, by central differences of the forward pass."""
    given = OF_CONTEXT @ PROJECTION
    kept = EARLIER[name]
    found = np.zeros(kept.shape)
    try:
        for at in np.ndindex(kept.shape):
            ends = []
            for nudge in (1e-5, -1e-5):
                EARLIER[name] = kept.copy()
                EARLIER[name][at] += nudge
                ends.append(CORE.made())
            found[at] = ((ends[0] - ends[1]) * given).sum() / 2e-5
    finally:
        EARLIER[name] = kept
    return found


SENT_BACK = {name: sent_back(name) for name in EARLIER}
FAULTS = (
    proved(BACK @ MATRIX, OF_LINEAR, state=WITH),
    proved(BACK @ MATRIX, OF_LINEAR, state={"head.weight": MATRIX.T}, is_reference=True),
    proved(RESIDUAL + BACK @ MATRIX, {"grad add out.0": RESIDUAL, **OF_LINEAR}, state=WITH),
    proved((1 - CURVED**2) * (BACK @ MATRIX), {**OF_LINEAR, "head in.0": CURVED}, state=WITH),
    proved(
        GATE * (1 - CURVED**2) * (BACK @ MATRIX),
        {**OF_LINEAR, "head in.0": GATE * CURVED},
        state=WITH,
    ),
    *(
        proved(back, {"grad norm out.0": RESIDUAL, "norm out.0": y}, state=NORM)
        for y, back in (normed(-1), normed(0))
    ),
    *(
        proved(
            back,
            {"grad o out.0": OF_CONTEXT, "o in.0": CONTEXT, **AROUND},
            state=PROJECTED,
            own=AROUND[name],
            name=name,
        )
        for name, back in SENT_BACK.items()
    ),
    Seeded(  # used in nothing that was recorded
        "gradient-cut", gradient(RIGHT, 0 * RIGHT), CLEAN, says="in the candidate", is_hint=True
    ),
    Seeded(
        "gradient-cut", gradient(0 * RIGHT, RIGHT), CLEAN, says="in the reference", is_hint=True
    ),
)
