"""Windows over the places of an image or a sequence, as convolutions and pools see them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from portalign.diagnose.evidence import Numbers

MODES = ("constant", "reflect", "edge", "wrap")  # numpy's names, the usual one first


def padded(
    x: Numbers, sides: npt.NDArray[np.int64], value: float, *, mode: str = MODES[0]
) -> Numbers:
    """`x` [batch, channels, *places] with `sides` [places, 2] of padding before and after.

    Args:
        value: what the padding holds where the mode is "constant".
        mode: one of `MODES`; ValueError where the image is too small for it.
    """
    around = [(0, 0), (0, 0), *map(tuple, sides)]
    if mode == MODES[0]:
        return np.pad(x, around, constant_values=value)
    found: Numbers = np.pad(x, around, mode=mode)  # type: ignore[call-overload]  # wants a literal
    return found


def windows(x: Numbers, kernel: Sequence[int], stride: int, dilation: int = 1) -> Numbers:
    """Views [batch, channels, *places, *kernel] of `x`; ValueError where none fits."""
    reach = [dilation * (size - 1) + 1 for size in kernel]
    axes = tuple(range(2, x.ndim))
    seen = np.lib.stride_tricks.sliding_window_view(x, reach, axis=axes)
    steps = (slice(None, None, stride),) * len(reach)
    taps = (slice(None, None, dilation),) * len(reach)
    found: Numbers = seen[(slice(None), slice(None), *steps, *taps)]
    return found
