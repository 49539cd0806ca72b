from __future__ import annotations

import numpy as np

from causes.places import Numbers, Seeded, loss, random

X = random(6, 5)
TARGET = random(6, 5, seed=1)
HITS = (TARGET > 0.0) * 1.0
OFF = X - TARGET


def made(losses: Numbers, slopes: Numbers, weights: Numbers | float = 1 / 30) -> Numbers:
    """Value and gradient of what every element counts."""
    return np.concatenate([[(weights * losses).sum()], (weights * slopes).ravel()])


def huber(bend: float) -> tuple[Numbers, Numbers]:
    far = np.abs(OFF) > bend
    losses = np.where(far, bend * np.abs(OFF) - bend**2 / 2, OFF**2 / 2)
    return losses, np.where(far, bend * np.sign(OFF), OFF)


def binary(weight: float = 1.0) -> tuple[Numbers, Numbers]:
    """Of scores; positive elements count `weight` times."""
    share = 1 / (1 + np.exp(-X))
    losses = -(weight * HITS * np.log(share) + (1 - HITS) * np.log(1 - share))
    return losses, (1 - HITS) * share - weight * HITS * (1 - share)


def fault(
    rule: str,
    right: Numbers,
    wrong: Numbers,
    says: str,
    *,
    target: Numbers = TARGET,
    **fitted: float,
) -> Seeded:
    faulty, clean = (loss(right, each, scores=X, labels=target) for each in (wrong, right))
    told = {name.replace("_", " "): value for name, value in fitted.items()}
    return Seeded(rule, faulty, clean, fitted=told, says=says)


SQUARED = made(OFF**2, 2 * OFF)
SMOOTH = made(huber(0.1)[0] / 0.1, huber(0.1)[1] / 0.1)
FAULTS = (
    fault("loss-kind", SQUARED, made(np.abs(OFF), np.sign(OFF)), "is the absolute error (L1)"),
    fault("loss-kind", SMOOTH, made(*huber(0.1)), "is the Huber error, the reference's the smooth"),
    fault(
        "loss-kind",
        made(*binary()),
        made((X - HITS) ** 2, 2 * (X - HITS)),
        "is the squared",
        target=HITS,
    ),
    fault("loss-reduction", SQUARED, 30 * SQUARED, "the loss is the sum"),
    fault("loss-reduction", SQUARED, 5 * SQUARED, "batch size, the reference's the mean over all"),
)
