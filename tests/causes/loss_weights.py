from __future__ import annotations

import numpy as np

from causes.loss_reduction import IGNORED, KEPT, LABELS, MEAN, fault, made
from causes.places import Numbers

WEIGHTS = np.array([1.0, 2.0, 0.5, 1.5, 1.0, 3.0, 0.25])
OTHER = np.array([1.0, 1.0, 0.5, 1.5, 1.0, 3.0, 0.25])


def _weighted(weights: Numbers, labels: np.ndarray) -> Numbers:
    each = (labels >= 0) * weights[np.maximum(labels, 0)]
    return made(each / each.sum(), labels)


ALL = made(np.full(LABELS.shape, 1 / LABELS.size), LABELS)
SUMMED = made(KEPT * WEIGHTS[np.maximum(IGNORED, 0)], IGNORED)
FAULTS = (
    fault("loss-weights", _weighted(WEIGHTS, LABELS), ALL, LABELS, "weighs all classes alike"),
    fault("loss-weights", MEAN, _weighted(WEIGHTS, IGNORED), IGNORED, "weighs its classes by ["),
    fault("loss-weights", SUMMED, made(KEPT, IGNORED), IGNORED, "weighs all classes alike"),
    fault(
        "loss-weights",
        _weighted(WEIGHTS, LABELS),
        _weighted(OTHER, LABELS),
        LABELS,
        "weighs its classes by [",
    ),
)
