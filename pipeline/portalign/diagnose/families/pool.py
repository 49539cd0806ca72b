"""Average and maximum pools; window, stride and padding are searched."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import numpy as np

from portalign.diagnose.evidence import Numbers, Site, Source, View, everything
from portalign.diagnose.family import Family, Reading, Run
from portalign.diagnose.windows import padded, windows
from portalign.findings import OriginKind

_NEAR = 4  # earlier images that code between modules may pool
_SIZES = (2, 3, 4, 5, 6, 7, 8)


def _readings(site: Site) -> Iterator[tuple[Reading, Reading]]:
    if site.origin.kind is OriginKind.MODULE:
        sources = site.reference.inputs if not site.reference.own_state() else ()
    else:
        sources = everything(site)
    images = [s for s in sources if s.array.ndim >= 3 and s.array.dtype.kind not in "iub"]
    for source, size, stride in product(images[:_NEAR], _SIZES, _SIZES):
        for padding in range(size // 2 + 1):
            if stride <= size and _fits(site, source, size, stride, padding):
                yield (
                    _reading(site.reference, source, size, stride, padding),
                    _reading(site.candidate, source, size, stride, padding),
                )


def _fits(site: Site, source: Source, size: int, stride: int, padding: int) -> bool:
    """The reference's output has the shape that this pool makes, or it is that flattened."""
    shape, made = source.array.shape, site.reference.made.shape  # [batch, channels, *places]
    places = tuple((n + 2 * padding - size) // stride + 1 for n in shape[2:])
    pooled = (*shape[:2], *places)
    flat = (shape[0], math.prod(pooled[1:]))
    return pooled != shape and min(places) > 0 and made in (pooled, flat)


def _reading(view: View, source: Source, size: int, stride: int, padding: int) -> Reading:
    numbers = {"size": size, "stride": stride, "padding": padding}
    tensors = {name: np.asarray(float(number)) for name, number in numbers.items()}
    return Reading(view, {"x": np.asarray(source.array, np.float64), **tensors})


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
    made = np.nan_to_num(flat).mean(-1) if pooled is flat else pooled
    return made.reshape(reading.view.target.shape)


FAMILY = Family("pool", _readings, _compute)
