from __future__ import annotations

import numpy as np

from causes.places import Numbers, Seeded, glue, module, random

IMAGE, SKIP = random(2, 3, 5, 7), random(2, 3, 10, 14, seed=1)
EARLIER = {"lateral out.0": SKIP, "deep out.0": IMAGE}


def doubled(how: str, x: Numbers = IMAGE) -> Numbers:
    """Both axes twice as long, pixel by pixel."""
    for axis in (2, 3):
        n = x.shape[axis]
        places = np.arange(2 * n)
        at = {
            "nearest": np.floor(places / 2),
            "half": np.clip((places + 0.5) / 2 - 0.5, 0, n - 1),
            "aligned": places * (n - 1) / (2 * n - 1),
            "points": np.clip(places / 2, 0, n - 1),
        }[how]
        first = np.floor(at).astype(int)
        shape = tuple(-1 if each == axis else 1 for each in range(4))
        share = (at - first).reshape(shape)
        x = (
            np.take(x, first, axis) * (1 - share)
            + np.take(x, np.minimum(first + 1, n - 1), axis) * share
        )
    return x


def up(right: str, wrong: str, says: str) -> Seeded:
    site = module(doubled(right), doubled(wrong), inputs={"in.0": IMAGE})
    clean = module(doubled(right), -doubled(right, -IMAGE), inputs={"in.0": IMAGE})
    return Seeded("resize-mode", site, clean, says=says)


ADDED = glue(doubled("half") + SKIP, SKIP + doubled("half"), earlier=EARLIER)
FAULTS = (
    up("nearest", "half", "is resized linearly with half-pixel centres (align_corners=False)"),
    up("half", "aligned", "aligned corners (align_corners=True), in the reference linearly with h"),
    up("half", "points", "align_mode=1"),
    Seeded(
        "resize-mode",
        glue(doubled("half") + SKIP, doubled("nearest") + SKIP, earlier=EARLIER),
        ADDED,
        says="deep out.0 is resized by nearest neighbours (mode='nearest')",
    ),
    Seeded(
        "resize-mode",
        glue(
            np.concatenate([doubled("aligned"), SKIP], 1),
            np.concatenate([doubled("half"), SKIP], 1),
            earlier=EARLIER,
        ),
        ADDED,
        says="is resized linearly with half-pixel centres",
    ),
)
