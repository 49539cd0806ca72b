from __future__ import annotations

import numpy as np

from causes.loss_reduction import made
from causes.places import Numbers, Seeded, loss, random

SCORES = random(4, 5, 7)
LABELS = np.where(np.arange(5) < np.array([[3], [2], [0], [1]]), -100, 4)
POWERS = np.exp(SCORES)
SHARES = POWERS / POWERS.sum(-1, keepdims=True)
KEPT = (LABELS >= 0) * 1.0
MEANS = np.concatenate([part / part.sum() / 2 for part in np.split(KEPT, 2)])


def fault(right: Numbers, wrong: Numbers, says: str) -> Seeded:
    """Two batches of two sequences; what each label of theirs counts."""
    faulty, clean = (
        loss(
            made(right, LABELS, shares=SHARES),
            made(each, LABELS, shares=SHARES),
            scores=SCORES,
            labels=LABELS,
            n_batches=2,
        )
        for each in (wrong, right)
    )
    return Seeded("loss-accumulation", faulty, clean, fitted={"batches": 2.0}, says=says)


FAULTS = (
    fault(MEANS, 2 * MEANS, "the candidate takes the sum of their losses, the reference the mean"),
    fault(2 * MEANS, MEANS, "the candidate takes the mean of their losses, the reference the sum"),
    fault(MEANS, KEPT / KEPT.sum(), "the candidate takes one mean over the labels of all of them"),
)
