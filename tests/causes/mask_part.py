from __future__ import annotations

import numpy as np

from causes.places import Seeded, glue

LOWEST = np.finfo(np.float64).min
KEEP = np.array([[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
BACK = (np.arange(6)[:, None] - np.arange(6))[None, None]
PADDING, CAUSAL, WINDOW = (KEEP == 0)[:, None, None], BACK < 0, BACK >= 3
EARLIER = {"(root) in.ids": np.arange(12).reshape(2, 6), "(root) in.mask": KEEP}


def _mask(*parts: np.ndarray, value: float = LOWEST) -> np.ndarray:
    hidden = np.logical_or.reduce(np.broadcast_arrays(*parts))
    return np.where(hidden, value, 0.0)


ALL = _mask(PADDING, CAUSAL, WINDOW)
CLEAN = glue(ALL, _mask(WINDOW, CAUSAL, PADDING), earlier=EARLIER)


def _fault(candidate: np.ndarray, says: str, **fitted: float) -> Seeded:
    return Seeded("mask-part", glue(ALL, candidate, earlier=EARLIER), CLEAN, fitted, says)


FAULTS = (
    _fault(_mask(PADDING, CAUSAL), "a window of 3 places", window=3.0),
    _fault(_mask(PADDING, WINDOW), "doesn't hide what lies ahead (a causal mask)"),
    _fault(_mask(CAUSAL, WINDOW), "doesn't hide what (root) in.mask hides"),
    _fault(_mask(CAUSAL, WINDOW, value=-1e4), "doesn't hide what (root) in.mask hides"),
    Seeded(
        "mask-part",
        glue(_mask(PADDING, CAUSAL), ALL, earlier=EARLIER),
        CLEAN,
        {"window": 3.0},
        "which the reference shows",
    ),
)
