"""The attention core: from the projections of query, key and value to the output projection.

Heads, scale, mask, rotary positions and all the rest are knobs; without one it is one head without
a scale, a mask or positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from portalign.diagnose.evidence import Numbers, Site, Source, View
from portalign.diagnose.family import Family, Reading, Run
from portalign.findings import OriginKind

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
    view: View, operands: tuple[Source, Source, Source], masks: dict[str, np.ndarray]
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
    return Reading(view, tensors, told)


def _compute(reading: Reading, run: Run) -> Numbers:
    order = run("operands", np.arange(3.0)).astype(int)
    packed = [reading.tensors[name] for name in ("query", "key", "value")]
    query, key, value = (packed[i] for i in order)  # [batch, time, width]
    n_heads = int(run("heads", np.asarray(1.0)))
    width = query.shape[-1] // n_heads
    query, key, value = (_heads(each, width) for each in (query, key, value))
    query, key = _rotated(query, "query", run), _rotated(key, "key", run)
    group = run("groups", np.arange(n_heads) // (n_heads // key.shape[1])).astype(int)
    key, value = key[:, group], value[:, group]
    scores = run("scale", query @ key.swapaxes(-1, -2))  # [batch, heads, queries, keys]
    scores = run("scores", scores)
    scores = run("mask", run("bias", run("cap", scores)))
    weights = run("softmax", scores)
    if weights is scores:
        weights = softmax(scores, -1)
    context = run("context", run("weights", weights) @ value)  # [batch, heads, time, width]
    merged = run("merge", context)
    if merged is context:
        merged = context.swapaxes(1, 2)
    return merged.reshape(reading.view.target.shape)


def softmax(scores: Numbers, axis: int) -> Numbers:
    """Softmax over an axis; a row of nothing but -inf gives NaN."""
    powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
    shares: Numbers = powers / powers.sum(axis=axis, keepdims=True)
    return shares


def _heads(x: Numbers, width: int) -> Numbers:
    split = x.reshape(*x.shape[:2], -1, width)  # ValueError where the width doesn't fit
    return split.swapaxes(1, 2)


def _rotated(x: Numbers, which: str, run: Run) -> Numbers:
    """Rotary positions, as the knobs have them: 0 no rotation, 1 halves, 2 neighbours."""
    style = int(run("rotary style", np.asarray(0.0)))
    if not style:
        return x
    width, n_places = x.shape[-1], x.shape[-2]
    base = float(run("rotary base", np.asarray(10000.0)))
    turned = int(round(width * float(run("rotary fraction", np.asarray(1.0)))) // 2 * 2)
    powers = run("rotary powers", np.arange(0, turned, 2) / max(turned, 1))
    places = run(f"rotary {which} places", np.arange(float(n_places)))
    rates = run("rotary rates", base**-powers)
    angles = run("rotary angles", places[:, None] * rates)  # [time, turned / 2]
    cos, sin = np.cos(angles), run("rotary sine", np.sin(angles))
    part, rest = x[..., :turned], x[..., turned:]
    if style == 1:
        a, b = part[..., : turned // 2], part[..., turned // 2 :]
        done = np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
    else:
        a, b = part[..., 0::2], part[..., 1::2]
        done = np.stack([a * cos - b * sin, b * cos + a * sin], axis=-1).reshape(part.shape)
    return np.concatenate([done, rest], axis=-1)


FAMILY = Family("attention", _readings, _compute, is_rare=True)
