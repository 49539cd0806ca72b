"""What comes back to a tensor through what it was used in: one part for each use.

A use is a module whose gradient was recorded. Its own backward is written out for linear layers,
norms, functions of single elements and dropout; code between the tensor and that module may be a
function of the tensor, a product with another one, a sum, or an attention core (`attention_back`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from portalign.diagnose.attention_back import backs
from portalign.diagnose.backwards import few_rows, is_gradient, lacking
from portalign.diagnose.confirm import needed, relative
from portalign.diagnose.evidence import Numbers, Site, Source
from portalign.diagnose.functions import ELEMENTWISE, FUNCTIONS, slope

_NEAR = 6  # modules behind the tensor, nearest first
_MOST = 3  # uses of one tensor together


def ways_back(site: Site) -> Iterator[Numbers]:
    """Sums of parts that are the gradient of the side that has one; usually one or none."""
    whole = (site.candidate if lacking(site) == "reference" else site.reference).target
    parts = [part for part in _parts(site) if part.shape == whole.shape]
    few = [few_rows(part).ravel() for part in parts]
    wanted = few_rows(whole).ravel()
    mix = np.random.default_rng(0).normal(size=wanted.size)
    keys = np.array([float(part @ mix) for part in few])
    near = needed(site) * float(np.linalg.norm(mix) * np.linalg.norm(wanted))
    for n in range(1, _MOST + 1):
        for chosen in _summing(keys, float(wanted @ mix), n, near):
            if relative(np.sum([few[at] for at in chosen], axis=0), wanted) <= needed(site):
                yield np.asarray(np.sum([parts[at] for at in chosen], axis=0))


def _summing(keys: Numbers, wanted: float, n: int, near: float) -> Iterator[tuple[int, ...]]:
    """Choices of `n` keys whose sum comes near: no others can be parts of one whole."""
    for rest in combinations(range(len(keys)), n - 1):
        first = rest[-1] + 1 if rest else 0
        gaps = np.abs(keys[first:] + sum(float(keys[at]) for at in rest) - wanted)
        yield from ((*rest, first + int(at)) for at in np.flatnonzero(gaps <= near))


def _parts(site: Site) -> Iterator[Numbers]:
    if not site.reference.inputs:
        return
    own = site.reference.inputs[0]
    x = np.asarray(own.array, np.float64)
    forward = {s.name: s for s in site.reference.earlier if not is_gradient(s)}
    users = [s for s in site.reference.earlier if is_gradient(s) and s.slot == "out.0"]
    for user in users[:_NEAR]:
        given = np.asarray(user.array, np.float64)
        if given.shape == x.shape:
            yield given  # a sum
        made = forward.get(f"{user.path} out.0")
        entered = forward.get(f"{user.path} in.0")
        inside = x if entered is None else np.asarray(entered.array, np.float64)
        for back in _through(site, user, inside, made, given):
            if entered is None:
                yield back
                continue
            yield from _before(x, inside, back)
            if back.shape == inside.shape:
                yield from backs(entered, _behind(entered, site), back, own.name)


def _behind(entered: Source, site: Site) -> tuple[Source, ...]:
    """What was there before a tensor, nearest first."""
    forward = [s for s in site.reference.earlier if not is_gradient(s)]
    return tuple(forward[forward.index(entered) + 1 :])


def _through(
    site: Site, user: Source, x: Numbers, made: Source | None, given: Numbers
) -> Iterator[Numbers]:
    """Gradients that a module may give to its input."""
    weight = site.reference.state.get(f"{user.path}.weight")
    if weight is not None and weight.ndim == 2:
        matrix = np.asarray(weight, np.float64)
        for each in (matrix, matrix.T):
            if (given.shape[-1], x.shape[-1]) == each.shape and given.ndim == x.ndim:
                yield given @ each
    y = np.asarray(made.array, np.float64) if made is not None else None
    if y is None or not y.shape == x.shape == given.shape:
        return
    if weight is None:
        yield from _through_elements(x, y, given)
    elif weight.ndim == 1:
        yield from _through_norm(site, user.path, x, y, given)


def _through_elements(x: Numbers, y: Numbers, given: Numbers) -> Iterator[Numbers]:
    """A function of single elements, or dropout."""
    few, shown = few_rows(x), few_rows(y)
    for name in ELEMENTWISE:
        if relative(FUNCTIONS[name](few), shown) <= 1e-9:
            yield slope(name, x) * given
            return
    yield _shares(y, x) * given


def _through_norm(
    site: Site, path: str, x: Numbers, y: Numbers, given: Numbers
) -> Iterator[Numbers]:
    """Norms of rows with and without the mean, and of channels by the batch or by constants."""
    scale, shift = (
        np.asarray(site.reference.state.get(f"{path}.{slot}", neutral), np.float64)
        for slot, neutral in (("weight", 1.0), ("bias", 0.0))
    )
    channels = (0, *range(2, x.ndim))
    ways = (((x.ndim - 1,), x.ndim - 1, True), ((x.ndim - 1,), x.ndim - 1, False))
    for axes, kept, is_centred in (*ways, (channels, 1, True)):
        if x.shape[kept] != scale.size or not scale.all():
            continue
        shape = [-1 if at == kept else 1 for at in range(x.ndim)]
        weight, bias = scale.reshape(shape), (np.zeros(scale.shape) + shift).reshape(shape)
        normed = (y - bias) / weight
        centred = x - x.mean(axis=axes, keepdims=True) if is_centred else x
        squares = (normed * normed).sum(axis=axes, keepdims=True)
        rate = squares / (centred * normed).sum(axis=axes, keepdims=True)  # 1 / deviation
        back = weight * given
        along = (back * normed).mean(axis=axes, keepdims=True)
        mean = back.mean(axis=axes, keepdims=True) if is_centred else 0.0
        yield rate * (back - mean - normed * along)
        if axes == channels:
            yield rate * back  # statistics that are constants


def _before(x: Numbers, inside: Numbers, back: Numbers) -> Iterator[Numbers]:
    """Gradients at the tensor, given that at what a module was handed."""
    if not x.shape == inside.shape == back.shape:
        return
    yield back
    yield _shares(inside, x) * back
    for name in ELEMENTWISE:
        steep = slope(name, x)
        if relative(FUNCTIONS[name](few_rows(x)), few_rows(inside)) <= 1e-9:
            yield steep * back
            return
        yield _shares(inside, FUNCTIONS[name](x)) * steep * back


def _shares(product: Numbers, factor: Numbers) -> Numbers:
    """The other factor; 0 where this one is."""
    return np.divide(product, factor, out=np.zeros_like(product), where=factor != 0.0)
