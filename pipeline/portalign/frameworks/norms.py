"""Norms of gradients in numpy float64, the same arithmetic for both frameworks.

Frameworks' own norms lose digits (``paddle.linalg.norm`` is off by 2.7e-2 over 23 million float32
elements, torch's by 1.3e-3), so what clipping did is measured here and not asked of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from portalign.frameworks.trainer import Clipping
from portalign.records import Array

_CHUNK: Final = 2**16  # 512 kB of float64: stays in cache


def global_norm(arrays: Iterable[Array]) -> float:
    """L2 norm over all elements of all arrays, in float64; 0.0 for none, NaN where one is NaN."""
    total = 0.0
    for array in arrays:
        flat = array.reshape(-1)
        for start in range(0, flat.size, _CHUNK):
            part = flat[start : start + _CHUNK].astype(np.float64)
            total += float(part @ part)
    return math.sqrt(total)


def clipping(before: Mapping[str, float], after: Mapping[str, float]) -> Clipping:
    """What clipping did, from the norm of every parameter's gradient before and after it.

    A coefficient is 1.0 when both norms are 0 and NaN when either is; so it is for no parameter.
    """
    norms = [math.hypot(*found.values()) for found in (before, after)]
    return Clipping(
        norm=norms[0],
        coefficient=_share(norms[1], norms[0]),
        coefficients={name: _share(after[name], norm) for name, norm in before.items()},
    )


def _share(after: float, before: float) -> float:
    if before == 0.0:
        return 1.0 if after == 0.0 else math.inf
    return after / before
