from __future__ import annotations

import numpy as np

from causes.loss_reduction import LABELS, SCORES, SHARES, fault
from causes.places import Numbers


def _shifted(by: int) -> Numbers:
    n_places = 5 - by
    hot = np.eye(7)[LABELS[:, by:]]
    weight = 1 / (3 * n_places)
    value = -weight * (hot * np.log(SHARES[:, :n_places])).sum()
    slope = np.zeros_like(SCORES)
    slope[:, :n_places] = weight * (SHARES[:, :n_places] - hot)
    return np.concatenate([[value], slope.ravel()])


FAULTS = (
    fault("loss-shift", _shifted(1), _shifted(0), LABELS, "labels of the same place, the ref"),
    fault("loss-shift", _shifted(1), _shifted(2), LABELS, "the place after the next"),
)
