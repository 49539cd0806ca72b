"""One place of a sequence, or all of them pooled: the first token, the last, the mean, one beside
another.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portalign.diagnose.evidence import Numbers, Site, Source, View, everything
from portalign.diagnose.family import Family, Reading, Run
from portalign.findings import OriginKind

_NEAR = 8  # earlier tensors that may be pooled
_MOST_PARTS = 3  # that may stand beside each other


def _readings(site: Site) -> Iterator[tuple[Reading, Reading]]:
    made = site.reference.target
    if site.origin.kind is OriginKind.MODULE or made.shape != site.candidate.target.shape:
        return
    near = [s for s in everything(site) if s.array.dtype.kind not in "iub" and s.array.ndim > 1]
    for source in near[:_NEAR]:
        for axis in (1, 0):
            n_parts = _n_parts(source.array.shape, made.shape, axis)
            if n_parts:
                yield (
                    _reading(site.reference, source, axis, n_parts, site),
                    _reading(site.candidate, source, axis, n_parts, site),
                )


def _n_parts(shape: tuple[int, ...], made: tuple[int, ...], axis: int) -> int:
    """How many pooled tensors stand beside each other in what was made; 0 if it can't be that."""
    rest = (*shape[:axis], *shape[axis + 1 :])
    if shape[axis] < 2 or not rest:
        return 0
    if made == (*shape[:axis], 1, *shape[axis + 1 :]):
        return 1
    if made[:-1] != rest[:-1] or made[-1] % rest[-1]:
        return 0
    n_parts = made[-1] // rest[-1]
    return n_parts if n_parts <= _MOST_PARTS else 0


def _reading(view: View, source: Source, axis: int, n_parts: int, site: Site) -> Reading:
    places = np.moveaxis(np.asarray(source.array, np.float64), axis, -2)
    tensors = {"x": places, "parts": np.asarray(float(n_parts))}  # [..., places, width]
    if axis:
        masks = (
            s.array
            for s in site.shared()
            if s.array.dtype.kind in "iub" and s.array.shape == source.array.shape[:2]
        )
        mask = next((m for m in masks if set(np.unique(m)) <= {0, 1}), None)
        if mask is not None:
            tensors["mask"] = np.asarray(mask, np.float64)
    return Reading(view, tensors, {"x": source.name, "axis": str(axis)})


def _compute(reading: Reading, run: Run) -> Numbers:
    x = reading.tensors["x"]
    picked = run("pick", x)
    if picked is x:
        raise ValueError("nothing is picked")
    return picked.reshape(reading.view.target.shape)


FAMILY = Family("pick", _readings, _compute)
