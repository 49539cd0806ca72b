"""Resizing of images as frameworks do it: one matrix of weights for each axis.

Held against `interpolate` of torch 2.13 (to 5e-15) and paddle 3.3.1 (to 2e-6: its ratios are
float32).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import final

import numpy as np

from portalign.diagnose.evidence import Numbers

HALF, ALIGNED, POINTS = "half", "aligned", "points"
NEAREST, AREA = "nearest", "area"


def _triangle(distance: Numbers) -> Numbers:
    return np.clip(1.0 - np.abs(distance), 0.0, None)


def _cubic(sharpness: float) -> Callable[[Numbers], Numbers]:
    """Keys 1981; torch and Paddle have -0.75, Pillow and TensorFlow -0.5."""

    def weight(distance: Numbers) -> Numbers:
        d, a = np.abs(distance), sharpness
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((d - 5) * d + 8) * d * a - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0.0))

    return weight


_KERNELS: Mapping[str, tuple[Callable[[Numbers], Numbers], int]] = MappingProxyType(
    {"linear": (_triangle, 1), "cubic": (_cubic(-0.75), 2), "cubic of Pillow": (_cubic(-0.5), 2)}
)


@final
@dataclass(frozen=True, slots=True)
class Way:
    """How an axis is resized.

    Attributes:
        kernel: nearest, area, linear, cubic or cubic of Pillow.
        places: where a pixel of the output lies in the input: between half-pixel centres, between
            corners that keep their places, or as points counted from the first.
        is_smooth: the kernel is widened where the image shrinks (antialiasing).
    """

    kernel: str
    places: str = HALF
    is_smooth: bool = False


def resized(x: Numbers, shape: tuple[int, ...], way: Way) -> Numbers:
    """An image [batch, channels, *places] at other places."""
    for axis, n_out in enumerate(shape, start=2):
        if x.shape[axis] != n_out:
            weights = _weights(x.shape[axis], n_out, way)  # [out, in]
            x = np.moveaxis(np.moveaxis(x, axis, -1) @ weights.T, -1, axis)
    return x


def _weights(n_in: int, n_out: int, way: Way) -> Numbers:
    if way.kernel == AREA:
        return _means(n_in, n_out)
    at = _places(n_in, n_out, way.places)
    if way.kernel == NEAREST:
        taken = np.floor(at if way.places == POINTS else at + 0.5)
        return np.asarray(np.eye(n_in)[np.clip(taken, 0, n_in - 1).astype(int)])
    kernel, reach = _KERNELS[way.kernel]
    stretch = max(n_in / n_out, 1.0) if way.is_smooth else 1.0
    if way.kernel == "linear" and not way.is_smooth:
        at = np.clip(at, 0.0, n_in - 1)
    width = int(np.ceil(reach * stretch)) + 1
    columns = np.floor(at)[:, None].astype(int) + np.arange(-width, width + 1)
    shares = kernel((columns - at[:, None]) / stretch)
    weights = np.zeros((n_out, n_in))
    if way.is_smooth:  # what lies outside doesn't count; else it counts for the edge
        shares = np.where((columns >= 0) & (columns < n_in), shares, 0.0)
        shares = shares / shares.sum(1, keepdims=True)
    rows = np.broadcast_to(np.arange(n_out)[:, None], columns.shape)
    np.add.at(weights, (rows, np.clip(columns, 0, n_in - 1)), shares)
    return weights


def _places(n_in: int, n_out: int, how: str) -> Numbers:
    out = np.arange(float(n_out))
    if how == ALIGNED:
        return out * ((n_in - 1) / max(n_out - 1, 1))
    return out * (n_in / n_out) if how == POINTS else (out + 0.5) * (n_in / n_out) - 0.5


def _means(n_in: int, n_out: int) -> Numbers:
    """Adaptive average pooling."""
    weights = np.zeros((n_out, n_in))
    for row in range(n_out):
        first, last = row * n_in // n_out, -(-(row + 1) * n_in // n_out)
        weights[row, first:last] = 1.0 / (last - first)
    return weights
