"""Gradients of a module's parameters, computed from what went in and the gradient that came out.

For each parameter everything is yielded that its shape lets it be, a linear layer's matrix, a
table's, a kernel's, a norm's scale or a bias; who asks takes what is the recorded one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from portalign.diagnose.backwards import is_gradient
from portalign.diagnose.evidence import Numbers, Site
from portalign.diagnose.through_time import gradients, run_of
from portalign.diagnose.windows import padded, windows
from portalign.records import Array

RECURRENT = re.compile(r"((?:weight|bias)_(?:ih|hh))_l0(_reverse)?")
_STRIDES, _DILATIONS = (1, 2, 3, 4), (1, 2)


def own_gradients(site: Site) -> Iterator[Numbers]:
    """What the gradient of a site's parameter may be, the likeliest first.

    A module that is called more than once has the sum over its calls.
    """
    path, slot = site.origin.path, site.origin.slot
    weight = site.reference.state.get(f"{path}.{slot}")
    if weight is None:
        return
    if found := RECURRENT.fullmatch(slot):
        run = run_of(site, found.group(2) or "")
        if run is not None:
            yield gradients(run)[found.group(1)]
        return
    calls = _calls(site)
    made = [list(_of_call(site, np.asarray(weight), *call)) for call in calls]
    for each in zip(*made, strict=False):
        yield np.asarray(np.sum(each, axis=0))


def _calls(site: Site) -> list[tuple[Array, Array, Array]]:
    """Input, output and gradient of the output, call by call."""
    own = [s for s in site.reference.earlier if s.path == site.origin.path]
    forward = [s for s in own if not is_gradient(s)][::-1]  # the latest come first
    inputs, outputs, back = (
        [s.array for s in some if s.slot == slot]
        for some, slot in (
            (forward, "in.0"),
            (forward, "out.0"),
            ([s for s in own if is_gradient(s)], "out.0"),
        )
    )
    if not len(inputs) == len(outputs) == len(back):
        return []
    return list(zip(inputs, outputs, back, strict=True))


def _of_call(site: Site, weight: Array, x: Array, y: Array, back: Array) -> Iterator[Numbers]:
    given = np.asarray(back, np.float64)
    if weight.ndim == 1:
        yield from _of_vector(site, weight, np.asarray(y, np.float64), given)
    elif weight.ndim == 2 and x.dtype.kind in "iu":
        table = np.zeros(weight.shape)
        np.add.at(table, x.ravel().astype(np.int64), given.reshape(x.size, -1))
        yield table
    elif weight.ndim == 2:
        rows = given.reshape(-1, given.shape[-1]), np.asarray(x, np.float64)
        matrix = rows[0].T @ rows[1].reshape(len(rows[0]), -1)  # [out, in]
        yield from (each for each in (matrix, matrix.T) if each.shape == weight.shape)
    elif weight.ndim == x.ndim == given.ndim:
        yield from _of_kernel(weight.shape, np.asarray(x, np.float64), given)


def _of_vector(site: Site, vector: Array, y: Numbers, given: Numbers) -> Iterator[Numbers]:
    """A bias, or the scale of a norm: the gradient times what is scaled, which the output tells."""
    state = {name: np.asarray(a, np.float64) for name, a in site.reference.own_state().items()}
    for axis in dict.fromkeys((given.ndim - 1, min(1, given.ndim - 1))):
        if given.shape[axis] != vector.size:
            continue
        rest = tuple(at for at in range(given.ndim) if at != axis)
        if site.origin.slot != "weight":
            yield given.sum(axis=rest)
        elif vector.all():
            shape = [-1 if at == axis else 1 for at in range(given.ndim)]
            bias = state.get("bias", np.zeros(vector.shape)).reshape(shape)
            yield (given * (y - bias)).sum(axis=rest) / np.asarray(vector, np.float64)


def _of_kernel(shape: Sequence[int], x: Numbers, given: Numbers) -> Iterator[Numbers]:
    """A convolution's kernel [out, in / groups, *kernel], for every way to reach these places."""
    n_groups = x.shape[1] // shape[1] or 1
    for stride, dilation in product(_STRIDES, _DILATIONS):
        sides = _padding(shape[2:], x.shape[2:], given.shape[2:], stride, dilation)
        if sides is None:
            continue
        seen = windows(padded(x, sides, 0.0), shape[2:], stride, dilation)
        places = range(2, given.ndim)
        seen = seen[(slice(None), slice(None), *[slice(n) for n in given.shape[2:]])]
        parts = zip(np.split(given, n_groups, 1), np.split(seen, n_groups, 1), strict=True)
        axes = ([0, *places], [0, *places])
        made: Numbers = np.concatenate([np.tensordot(g, s, axes=axes) for g, s in parts])
        if made.shape == tuple(shape):
            yield made


def _padding(
    kernel: Sequence[int], before: Sequence[int], after: Sequence[int], stride: int, dilation: int
) -> np.ndarray | None:
    """The same padding on both sides of each axis [axes, 2] that leads to so many places."""
    sides = []
    for size, n, made in zip(kernel, before, after, strict=True):
        short = (made - 1) * stride + dilation * (size - 1) + 1 - n
        each = max(math.ceil(short / 2), 0)
        if n + 2 * each - dilation * (size - 1) - 1 < 0 or (
            (n + 2 * each - dilation * (size - 1) - 1) // stride + 1 < made
        ):
            return None
        sides.append((each, each))
    return np.asarray(sides, np.int64)
