"""Windows over the places of an image or a sequence, as convolutions and pools see them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from portalign.diagnose.evidence import Numbers


def padded(x: Numbers, sides: npt.NDArray[np.int64], value: float) -> Numbers:
    """`x` [batch, channels, *places] with `sides` [places, 2] of padding before and after."""
    return np.pad(x, [(0, 0), (0, 0), *map(tuple, sides)], constant_values=value)


def windows(x: Numbers, kernel: Sequence[int], stride: int, dilation: int = 1) -> Numbers:
    """Views [batch, channels, *places, *kernel] of `x`; ValueError where none fits."""
    reach = [dilation * (size - 1) + 1 for size in kernel]
    axes = tuple(range(2, x.ndim))
    seen = np.lib.stride_tricks.sliding_window_view(x, reach, axis=axes)
    steps = (slice(None, None, stride),) * len(reach)
    taps = (slice(None, None, dilation),) * len(reach)
    found: Numbers = seen[(slice(None), slice(None), *steps, *taps)]
    return found
