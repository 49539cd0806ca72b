from __future__ import annotations

from itertools import product
from typing import Literal

import numpy as np

from causes.places import Numbers, Seeded, module, random

IMAGE, KERNEL = random(2, 4, 7, 7), random(6, 2, 3, 3, seed=1)


def conv(
    image: Numbers,
    kernel: Numbers,
    *,
    stride: int = 2,
    pad: tuple[int, int] = (1, 1),
    mode: Literal["constant", "reflect", "edge", "wrap"] = "constant",
) -> Numbers:
    """Two groups, tap by tap."""
    image = np.pad(image, ((0, 0), (0, 0), pad, pad), mode=mode)
    size = kernel.shape[-1]
    places = range(0, image.shape[-1] - size + 1, stride)
    made = np.zeros((len(image), len(kernel), len(places), len(places)))
    half = len(kernel) // 2
    for group, (i, row), (j, column) in product(range(2), enumerate(places), enumerate(places)):
        part = image[:, 2 * group : 2 * group + 2, row : row + size, column : column + size]
        taps = kernel[half * group : half * (group + 1)]
        made[:, half * group : half * (group + 1), i, j] = np.einsum("bcij,ocij->bo", part, taps)
    return made


RIGHT = conv(IMAGE, KERNEL)
CLEAN = module(RIGHT, conv(IMAGE, -KERNEL) * -1.0, inputs={"in.0": IMAGE}, state={"weight": KERNEL})
FAULTS = (
    Seeded(
        "weight-flipped",
        module(
            RIGHT,
            conv(IMAGE, KERNEL[:, :, ::-1, ::-1]),
            inputs={"in.0": IMAGE},
            state={"weight": KERNEL},
        ),
        CLEAN,
        says="flipped",
    ),
)
