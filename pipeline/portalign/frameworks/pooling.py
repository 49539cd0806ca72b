"""How many elements each window of an average pooling holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def window_sizes(
    lengths: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    *,
    is_adaptive: bool,
    ceil_mode: bool,
    exclusive: bool,
) -> npt.NDArray[np.float64]:
    """Sizes as floats, one axis per spatial axis.

    Args:
        lengths: spatial extent of the input.
        window: extent of a window, of the output where `is_adaptive`.
        stride, padding: of no account where `is_adaptive`; the same padding on both ends.
        ceil_mode: windows may begin inside and end outside of the padded input.
        exclusive: padding isn't counted.

    >>> window_sizes([5], [3], [2], [1], is_adaptive=False, ceil_mode=False, exclusive=True)
    array([2., 3., 2.])
    """
    sizes = np.ones([1] * len(lengths))
    for axis, (n, k) in enumerate(zip(lengths, window, strict=True)):
        if is_adaptive:
            at = np.arange(k)
            start, stop = at * n // k, -(-(at + 1) * n // k)
        else:
            step, pad = stride[axis], padding[axis]
            rest = n + 2 * pad - k
            start = np.arange((-(-rest // step) if ceil_mode else rest // step) + 1) * step - pad
            stop = np.minimum(start + k, n + pad)
            if exclusive:
                start, stop = np.maximum(start, 0), np.minimum(stop, n)
        shape = [1] * len(lengths)
        shape[axis] = -1
        sizes = sizes * (stop - start).astype(np.float64).reshape(shape)
    return sizes
