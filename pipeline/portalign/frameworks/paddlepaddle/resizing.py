"""Linear and cubic resizing in float64: one matrix of weights for each axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import paddle

_Floats = npt.NDArray[np.float64]
_Places = npt.NDArray[np.int_]
_A = -0.75  # of the cubic kernel, in both frameworks


def resized(
    x: paddle.Tensor,
    shape: Sequence[int],
    *,
    scales: Sequence[float],
    is_cubic: bool,
    align_corners: bool,
    half_pixel: bool,
) -> paddle.Tensor:
    """``[batch, channels, ...]`` to another spatial shape.

    Args:
        scales: factors that were asked for; empty where the shape was.
        align_corners: the outermost pixels keep their places; else
        half_pixel: pixels are intervals and not points. Cubic ones always are.
    """
    for axis, (n_in, n_out) in enumerate(zip(x.shape[2:], shape, strict=True)):
        ratio = 1 / scales[axis] if scales and scales[axis] > 0 else n_in / n_out
        if align_corners:
            ratio = (n_in - 1) / (n_out - 1) if n_out > 1 else 0.0
        at = np.arange(n_out) * ratio
        if not align_corners and (half_pixel or is_cubic):
            at = (np.arange(n_out) + 0.5) * ratio - 0.5
        weights = _cubic(at, n_in) if is_cubic else _linear(np.maximum(at, 0.0), n_in)
        moved = paddle.moveaxis(x, axis + 2, -1)
        x = paddle.moveaxis(paddle.matmul(moved, paddle.to_tensor(weights.T)), -1, axis + 2)
    return x


def _linear(at: _Floats, n_in: int) -> _Floats:
    """Weights ``[out, in]`` of the two neighbours of each position."""
    first = np.minimum(np.floor(at).astype(int), n_in - 1)
    share = at - first
    return _scattered([(first, 1 - share), (first + 1, share)], n_in)


def _cubic(at: _Floats, n_in: int) -> _Floats:
    """Weights ``[out, in]`` of the four neighbours of each position (Keys 1981)."""
    first = np.floor(at).astype(int)
    share = at - first
    near = [((_A + 2) * t - (_A + 3)) * t * t + 1 for t in (share, 1 - share)]
    far = [((_A * t - 5 * _A) * t + 8 * _A) * t - 4 * _A for t in (1 + share, 2 - share)]
    places = [(first - 1, far[0]), (first, near[0]), (first + 1, near[1]), (first + 2, far[1])]
    return _scattered(places, n_in)


def _scattered(places: Sequence[tuple[_Places, _Floats]], n_in: int) -> _Floats:
    """Weights at their columns; what lies outside counts for the edge."""
    weights = np.zeros((len(places[0][0]), n_in))
    rows = np.arange(len(weights))
    for columns, shares in places:
        np.add.at(weights, (rows, np.clip(columns, 0, n_in - 1).astype(np.intp)), shares)
    return weights
