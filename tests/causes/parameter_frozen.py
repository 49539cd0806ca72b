from __future__ import annotations

import numpy as np

from causes.places import Numbers, Seeded, gradient, random

RIGHT = random(4, 6)
CLEAN = gradient(RIGHT, RIGHT, slot="weight", trainable=(True, True))


def proved(
    right: Numbers,
    *,
    x: np.ndarray,
    y: Numbers,
    back: Numbers,
    slot: str = "weight",
    state: dict[str, Numbers],
    is_reference: bool = False,
) -> Seeded:
    """A parameter without a gradient on one side, of a module whose tensors were recorded."""
    sources = {"grad fc out.0": back, "fc out.0": y, "fc in.0": x}
    sides = (0 * right, right) if is_reference else (right, 0 * right)
    free = (not is_reference, is_reference)
    of = {"slot": slot, "sources": sources, "state": state}
    says = f"{slot} gets no gradient in the {'reference' if is_reference else 'candidate'}"
    faulty = gradient(*sides, trainable=free, **of)
    clean = gradient(right, 1.0 * right, trainable=(True, True), **of)
    return Seeded("parameter-frozen", faulty, clean, says=says)


X, BACK, MATRIX = random(2, 5, 6), random(2, 5, 4, seed=1), random(4, 6, seed=2)
OF_MATRIX = np.einsum("bto,bti->oi", BACK, X)
SCALE, SHIFT = 1.0 + 0.1 * random(6, seed=3), random(6, seed=4)
NORMED = (X - X.mean(-1, keepdims=True)) / np.sqrt(X.var(-1, keepdims=True) + 1e-5)
OF_NORM = random(2, 5, 6, seed=5)
IDS = np.random.default_rng(6).integers(0, 7, (2, 5))
TABLE = np.zeros((7, 4))
np.add.at(TABLE, IDS, BACK)
IMAGE, OF_PLACES = random(2, 4, 9, 9, seed=7), random(2, 6, 5, 5, seed=8)
WIDE = np.pad(IMAGE, ((0, 0), (0, 0), (1, 1), (1, 1)))
KERNEL = np.stack(
    [
        np.einsum("bohw,bihw->oi", OF_PLACES, WIDE[:, :, i : i + 9 : 2, j : j + 9 : 2])
        for i in range(3)
        for j in range(3)
    ],
    axis=-1,
).reshape(6, 4, 3, 3)

FAULTS = (
    proved(OF_MATRIX, x=X, y=BACK, back=BACK, state={"weight": MATRIX}),
    proved(OF_MATRIX.T, x=X, y=BACK, back=BACK, state={"weight": MATRIX.T}, is_reference=True),
    proved(BACK.sum((0, 1)), x=X, y=BACK, back=BACK, slot="bias", state={"bias": random(4)}),
    proved(
        (OF_NORM * NORMED).sum((0, 1)),
        x=X,
        y=NORMED * SCALE + SHIFT,
        back=OF_NORM,
        state={"weight": SCALE, "bias": SHIFT},
    ),
    proved(TABLE, x=IDS, y=BACK, back=BACK, state={"weight": random(7, 4)}),
    proved(KERNEL, x=IMAGE, y=OF_PLACES, back=OF_PLACES, state={"weight": random(6, 4, 3, 3)}),
    Seeded(  # of a module whose tensors were not recorded
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
