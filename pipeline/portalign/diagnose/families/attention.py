"""The attention core: from the projections of query, key and value to the output projection.

What may be query, key and value, the masks and the rotary tables is found here; the arithmetic is
in `attention_core`, and what can be read off what was made in `read_off`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from portalign.diagnose.attention_core import compute
from portalign.diagnose.evidence import Numbers, Site, Source, View
from portalign.diagnose.family import Family, Reading
from portalign.diagnose.read_off import members
from portalign.findings import OriginKind
from portalign.records import Array

# cos^2 + sin^2 of tables rounded through bfloat16, whose eps is 2^-8, is off by at most twice that
_UNIT = 2.0**-7
_NEAR = 5  # tensors of the width of a projection that may be query, key or value


def _readings(site: Site) -> Iterator[tuple[Reading, Reading]]:
    if site.origin.kind is OriginKind.MODULE or site.reference.target.ndim != 3:
        return
    shared = site.shared()
    for operands in _operands(site, shared):
        masks = {source.name: source.array for source in shared if _is_mask(source, site)}
        yield (
            _reading(site.reference, operands, masks),
            _reading(site.candidate, operands, masks),
        )


def _operands(site: Site, shared: Sequence[Source]) -> Iterator[tuple[Source, Source, Source]]:
    """Query, key and value: the nearest three projections, else a packed one."""
    batch, time, width = site.reference.target.shape
    near = [
        source
        for source in shared
        if source.array.ndim == 3
        and source.slot.startswith("out.")
        and source.array.shape[:2] == (batch, time)
        and source.array.dtype.kind not in "iub"
    ][:_NEAR]
    if len(near) >= 3:
        value, key, query = near[:3]
        are_siblings = len({source.path.rpartition(".")[0] for source in near[:3]}) == 1
        fit = query.array.shape[-1] == width and key.array.shape == value.array.shape
        if are_siblings and fit:
            yield query, key, value
    for source in near[:2]:
        n = source.array.shape[-1]
        if n > width and (n - width) % 2 == 0:
            rest = (n - width) // 2
            ends = [0, width, width + rest, n]
            parts = [source.array[..., a:b] for a, b in pairwise(ends)]
            yield tuple(  # type: ignore[misc]  # three of them
                Source(f"{source.name} {name}", source.path, source.slot, "", part)
                for name, part in zip(("query", "key", "value"), parts, strict=True)
            )


def _is_mask(source: Source, site: Site) -> bool:
    """A tensor that could say which places are seen: [batch, time] of the batch, or [.., time]."""
    batch, time = site.reference.target.shape[:2]
    shape = source.array.shape
    if source.array.dtype.kind in "iub":
        return shape == (batch, time) and set(np.unique(source.array)) <= {0, 1}
    tail = (batch, 1, time, time)[4 - len(shape) :] if 1 < len(shape) <= 4 else None
    if tail is None or shape[-1] != time:
        return False
    if not all(n in (1, m) for n, m in zip(shape, tail, strict=True)):
        return False
    values = np.asarray(source.array, np.float64)
    return bool((values <= 0).all() and (values == 0).any())


def _reading(
    view: View, operands: tuple[Source, Source, Source], masks: dict[str, Array]
) -> Reading:
    names = ("query", "key", "value")
    tensors = {
        name: np.asarray(source.array, np.float64)
        for name, source in zip(names, operands, strict=True)
    }
    for name, array in masks.items():
        is_kept = array.dtype.kind in "iub"
        with np.errstate(all="ignore"):
            added = np.where(array == 0, -np.inf, 0.0)[:, None, None] if is_kept else array
        tensors[f"mask {name}"] = np.asarray(added, np.float64)
    told = {name: source.name for name, source in zip(names, operands, strict=True)}
    return Reading(view, tensors | _tables(view), told)


def _tables(view: View) -> dict[str, Numbers]:
    """Rotary cosines and sines that a module made, [batch or 1, 1, time, pairs]; {} if none did."""
    made = {source.name: source for source in view.earlier}
    for name, first in made.items():
        second = made.get(f"{name.removesuffix('out.0')}out.1")
        if name.endswith(" out.0") and second is not None:
            cos, sin = (_table(each.array, view.target.shape) for each in (first, second))
            if cos is None or sin is None or cos.shape != sin.shape:
                continue
            if np.abs(cos * cos + sin * sin - 1.0).max(initial=0.0) <= _UNIT:
                return {"cos": cos, "sin": sin}
    return {}


def _table(array: Array, shape: tuple[int, ...]) -> Numbers | None:
    """One number per place and pair, whether each pair stands in it once or twice."""
    if array.dtype.kind in "iub" or array.ndim not in (2, 3) or array.shape[-2] != shape[1]:
        return None
    table = np.asarray(array, np.float64).reshape(-1, 1, *array.shape[-2:])
    if len(table) not in (1, shape[0]) or np.abs(table).max(initial=0.0) > 1.0 + _UNIT:
        return None
    width = table.shape[-1]
    if width % 2 == 0:
        if np.array_equal(table[..., : width // 2], table[..., width // 2 :]):
            return table[..., : width // 2]
        if np.array_equal(table[..., 0::2], table[..., 1::2]):
            return table[..., 0::2]
    return table


FAMILY = Family("attention", _readings, compute, is_rare=True, members=members)
