"""What a row shows when both frameworks run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Measured:
    """What was seen of one row.

    Attributes:
        difference: greatest absolute difference over all iterations, divided by the reference's
            greatest absolute value; 0.0 is bitwise.
        n_iterations: how many iterations were compared.
    """

    difference: float
    n_iterations: int


def measured(reference: Sequence[npt.ArrayLike], candidate: Sequence[npt.ArrayLike]) -> Measured:
    """Compare what both sides gave at every iteration: numbers, or arrays of any shape."""
    pairs = [
        (np.asarray(left, np.float64), np.asarray(right, np.float64))
        for left, right in zip(reference, candidate, strict=True)
    ]
    assert all(left.shape == right.shape for left, right in pairs)
    difference = max(float(np.abs(left - right).max()) for left, right in pairs)
    size = max(float(np.abs(left).max()) for left, _ in pairs)
    return Measured(difference / size if size else difference, len(pairs))
