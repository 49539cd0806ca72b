from __future__ import annotations

import numpy as np

from causes.places import Numbers, Seeded, loss, random

SCORES = random(3, 5, 7)
LABELS = np.random.default_rng(1).integers(0, 7, (3, 5))
IGNORED = np.where(np.arange(5) < np.array([[1], [3], [0]]), -100, LABELS)
POWERS = np.exp(SCORES)
SHARES = POWERS / POWERS.sum(-1, keepdims=True)


def made(
    weights: Numbers,
    labels: np.ndarray,
    soft: Numbers | None = None,
    *,
    shares: Numbers = SHARES,
) -> Numbers:
    """Value and gradient of the cross entropies of all places times weights."""
    hot = np.eye(7)[np.maximum(labels, 0)] if soft is None else soft
    value = -(weights * (hot * np.log(shares)).sum(-1)).sum()
    return np.concatenate([[value], (weights[..., None] * (shares - hot)).ravel()])


def fault(
    rule: str, right: Numbers, wrong: Numbers, labels: np.ndarray, says: str = "", **fitted: float
) -> Seeded:
    faulty, clean = (loss(right, each, scores=SCORES, labels=labels) for each in (wrong, right))
    told = {name.replace("_", " "): value for name, value in fitted.items()}
    return Seeded(rule, faulty, clean, fitted=told, says=says)


KEPT = (IGNORED >= 0) * 1.0
MEAN = made(KEPT / KEPT.sum(), IGNORED)
ROWS = made(KEPT / KEPT.sum(1, keepdims=True) / 3, IGNORED)
FAULTS = (
    fault("loss-reduction", MEAN, made(KEPT, IGNORED), IGNORED, "is the sum (reduction='sum')"),
    fault("loss-reduction", MEAN, made(KEPT / 15, IGNORED), IGNORED, "number of all labels"),
    fault("loss-reduction", MEAN, made(KEPT / 3, IGNORED), IGNORED, "by the batch size"),
    fault("loss-reduction", MEAN, ROWS, IGNORED, "mean of the means of each sequence"),
    fault("loss-reduction", ROWS, MEAN, IGNORED, "the reference's the mean of the means"),
    fault("loss-reduction", MEAN, 4 * MEAN, IGNORED, "4 times the mean", candidate_factor=4.0),
)
