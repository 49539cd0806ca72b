"""Average and maximum pools; window, stride and padding are searched."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from portalign.diagnose.evidence import Numbers, Site, View
from portalign.diagnose.family import Family, Reading, Run
from portalign.diagnose.windows import padded, windows
from portalign.findings import OriginKind

_SIZES = (2, 3, 4, 5, 6, 7, 8)


def _readings(site: Site) -> Iterator[tuple[Reading, Reading]]:
    if site.origin.kind is not OriginKind.MODULE or site.reference.own_state():
        return
    for size, stride in product(_SIZES, repeat=2):
        for padding in range(size // 2 + 1):
            ours = _reading(site.reference, size, min(stride, size), padding)
            theirs = _reading(site.candidate, size, min(stride, size), padding)
            if ours and theirs and stride <= size:
                yield ours, theirs


def _reading(view: View, size: int, stride: int, padding: int) -> Reading | None:
    if len(view.inputs) != 1 or view.target.ndim < 3:
        return None
    x = np.asarray(view.inputs[0].array, np.float64)  # [batch, channels, *places]
    made = view.target.shape
    if x.ndim != len(made) or x.shape[:2] != made[:2] or x.shape == made:
        return None
    places = tuple((n + 2 * padding - size) // stride + 1 for n in x.shape[2:])
    if places != made[2:]:
        return None
    numbers = {"size": size, "stride": stride, "padding": padding}
    return Reading(view, {"x": x, **{k: np.asarray(float(v)) for k, v in numbers.items()}})


def _compute(reading: Reading, run: Run) -> Numbers:
    """The mean over all places of a window, padding too, unless a knob on "pool" takes another."""
    tensors = reading.tensors
    x, size = run("input", tensors["x"]), int(tensors["size"])
    n_axes = x.ndim - 2
    sides = run("padding", np.full((n_axes, 2), float(tensors["padding"])))
    # NaN marks the padding: a knob decides what it counts as.
    outer = padded(x, sides.astype(int), np.nan)
    seen = windows(outer, [size] * n_axes, int(tensors["stride"]))
    flat = seen.reshape(*seen.shape[: x.ndim], -1)  # [batch, channels, *places, window]
    pooled = run("pool", flat)
    return np.nan_to_num(flat).mean(-1) if pooled is flat else pooled


FAMILY = Family("pool", _readings, _compute)
