from __future__ import annotations

import numpy as np

from causes.places import Numbers, Seeded, Site, module, random

X = random(6, 8)
KEEP = np.random.default_rng(1).random((6, 8)) < 0.7


def fault(right: float, wrong: float, says: str, **fitted: float) -> Seeded:
    """Elements that stay, times a number."""
    faulty, clean = (_dropped(right, scale, X) for scale in (wrong, right))
    told = {name.replace("_", " "): value for name, value in fitted.items()}
    return Seeded("dropout-rate", faulty, clean, fitted=told, says=says)


def _dropped(right: float, wrong: float, x: Numbers) -> Site:
    return module(right * KEEP * x, x * wrong * KEEP, inputs={"in.0": x}, module_type="Dropout")


FAULTS = (
    fault(
        1 / 0.8,
        1 / 0.7,
        "has the rate 0.3, in the reference 0.2",
        reference_rate=0.2,
        candidate_rate=0.3,
    ),
    fault(1 / 0.7, 1.0, "the candidate's dropout doesn't scale", reference_scale=1 / 0.7),
    fault(1.0, 1 / 0.7, "the reference's dropout doesn't scale", candidate_scale=1 / 0.7),
)
