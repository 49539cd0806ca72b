"""An image at another resolution: a module's, or called between modules and added to another or
put beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from portalign.diagnose.evidence import Numbers, Site, Source, View, everything
from portalign.diagnose.family import Family, Reading, Run
from portalign.findings import OriginKind

_NEAR = 6  # earlier images that code between modules may resize, add or put beside
_HOW = "how"


def _readings(site: Site) -> Iterator[tuple[Reading, Reading]]:
    made = site.reference.made.shape
    if made != site.candidate.made.shape or len(made) not in (3, 4, 5) or _has_weights(site):
        return
    is_module = site.origin.kind is OriginKind.MODULE
    sources = site.reference.inputs if is_module else everything(site)
    images = [
        source
        for source in sources
        if source.array.dtype.kind not in "iub"
        and source.array.ndim == len(made)
        and source.array.shape[0] == made[0]
    ][:_NEAR]
    for source in (one for one in images if one.array.shape[2:] != made[2:]):
        for others, how in _beside(source, images, made):
            yield (
                _reading(site.reference, source, others, how),
                _reading(site.candidate, source, others, how),
            )


def _has_weights(site: Site) -> bool:
    return site.origin.kind is OriginKind.MODULE and bool(site.reference.own_state())


def _beside(
    source: Source, images: list[Source], made: tuple[int, ...]
) -> Iterator[tuple[Source | None, str]]:
    """What else is in what was made: nothing, a tensor that is added, one before or behind it."""
    n_channels = source.array.shape[1]
    if n_channels == made[1]:
        yield None, "alone"
        yield from ((one, "added") for one in images if one.array.shape == made)
    for one in images:
        if one.array.shape[2:] == made[2:] and one.array.shape[1] == made[1] - n_channels:
            yield one, "first"
            yield one, "last"


def _reading(view: View, source: Source, other: Source | None, how: str) -> Reading:
    tensors = {"x": np.asarray(source.array, np.float64)}
    if other is not None:
        tensors["other"] = np.asarray(other.array, np.float64)
    return Reading(view, tensors, {"x": source.name, _HOW: how})


def _compute(reading: Reading, run: Run) -> Numbers:
    x = reading.tensors["x"]
    made = run("resize", x)
    if made is x:
        raise ValueError("nothing is resized")
    how, other = reading.names[_HOW], reading.tensors.get("other")
    if other is None:
        return made
    if how == "added":
        total: Numbers = made + other
        return total
    both: list[Any] = [other, made] if how == "first" else [made, other]
    return np.concatenate(both, axis=1)


FAMILY = Family("resize", _readings, _compute)
