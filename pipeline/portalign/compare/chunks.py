"""Cut a pair of arrays into cache-sized pieces: flat, contiguous, aligned and native-endian.

Contiguous arrays in memory are cut without a copy, long mapped ones are read from their file, and
any other layout is copied tile by tile. Pages of read-only memory maps are handed back behind the
pass, so that comparing huge dumps keeps memory small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import product
from math import isqrt, prod
from typing import NamedTuple, SupportsInt

import numpy as np

from portalign.records import Array
from portalign.store.pages import open_run, release

RUN_BYTES = 2**20  # from here on a mapped array is read from its file, which costs an `open`
RELEASE_BYTES = 16 * 2**20  # bytes of each side read before its mapped pages are handed back


class Chunk(NamedTuple):
    """One piece of both arrays.

    Attributes:
        reference, candidate: ``[n]`` views or copies, element by element the same places.
        locate: turns a position in the piece into an index of the whole array.
    """

    reference: Array
    candidate: Array
    locate: Callable[[int], tuple[int, ...]]


def chunks(reference: Array, candidate: Array, *, n_elements: int) -> Iterator[Chunk]:
    """Walk through two arrays of one shape in pieces of at most `n_elements`.

    A yielded piece is valid until the next one is asked for. Empty arrays yield nothing.
    """
    axes = tuple(sorted(range(reference.ndim), key=lambda axis: -abs(reference.strides[axis])))
    pair = (reference.transpose(axes), candidate.transpose(axes))
    n_walked, n_released = 0, 0
    is_flat = all(array.flags.c_contiguous for array in pair)
    for chunk in (_flat if is_flat else _tiles)(pair, axes, n_elements):
        yield chunk
        n_walked += chunk.reference.nbytes
        if n_walked - n_released >= RELEASE_BYTES:
            n_released = n_walked
            release(reference)
            release(candidate)
    release(reference)
    release(candidate)


def pieces(array: Array, *, n_elements: int) -> Iterator[Array]:
    """Walk through one array likewise, in no order that matters."""
    axes = tuple(sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis])))
    ordered = array.transpose(axes)
    if not ordered.flags.c_contiguous:
        yield from (chunk.reference for chunk in chunks(array, array, n_elements=n_elements))
        return
    side = _side(ordered.reshape(-1), n_elements)
    try:
        for start in range(0, array.size, n_elements):
            yield side.cut(start, start + n_elements)
    finally:
        side.close()
        release(array)


def _flat(pair: tuple[Array, Array], axes: tuple[int, ...], n_elements: int) -> Iterator[Chunk]:
    shape = pair[0].shape
    sides = [_side(array.reshape(-1), n_elements) for array in pair]
    with ExitStack() as ends:
        for side in sides:
            ends.callback(side.close)
        for start in range(0, pair[0].size, n_elements):

            def index(place: int, start: int = start) -> tuple[int, ...]:
                return _restore(np.unravel_index(start + place, shape), axes)

            stop = start + n_elements
            yield Chunk(sides[0].cut(start, stop), sides[1].cut(start, stop), index)


class _Side(NamedTuple):
    """One flat array: `cut` gives its next piece, from an element to before another."""

    cut: Callable[[int, int], Array]
    close: Callable[[], None] = lambda: None


def _side(flat: Array, n_elements: int) -> _Side:
    """As a view where that can be computed with and costs no page faults, else as a copy."""
    is_native = flat.dtype.isnative
    run = open_run(flat) if is_native and flat.nbytes >= RUN_BYTES else None
    if run is None and is_native and flat.flags.aligned:
        return _Side(lambda start, stop: flat[start:stop])
    n_buffer = min(n_elements, flat.size)
    if run is None:
        aside = _buffer(flat, n_buffer)
        return _Side(lambda start, stop: _copy(flat[start:stop], aside))
    buffer = run.buffer(flat.dtype, n_buffer)

    def read(start: int, stop: int) -> Array:
        piece = buffer[: min(stop, flat.size) - start]
        run.read(piece)
        return piece

    return _Side(read, run.close)


def _tiles(pair: tuple[Array, Array], axes: tuple[int, ...], n_elements: int) -> Iterator[Chunk]:
    shape = pair[0].shape
    edges = _tile(pair, n_elements)
    buffers = tuple(_buffer(array, prod(edges)) for array in pair)
    for corner in product(*(range(0, n, edge) for n, edge in zip(shape, edges, strict=True))):
        window = tuple(slice(at, at + edge) for at, edge in zip(corner, edges, strict=True))
        views = [array[window] for array in pair]
        extent = views[0].shape

        def index(
            place: int, corner: tuple[int, ...] = corner, extent: tuple[int, ...] = extent
        ) -> tuple[int, ...]:
            inner = np.unravel_index(place, extent)
            return _restore([at + i for at, i in zip(corner, inner, strict=True)], axes)

        pieces = [_copy(view, buffer) for view, buffer in zip(views, buffers, strict=True)]
        yield Chunk(pieces[0], pieces[1], index)


def _tile(pair: tuple[Array, Array], n_elements: int) -> list[int]:
    """Edges of a block in which both arrays have runs of neighbouring bytes."""
    shape = pair[0].shape
    by_speed = [
        sorted(range(len(shape)), key=lambda axis: (shape[axis] == 1, abs(array.strides[axis])))
        for array in pair
    ]
    edges = [1] * len(shape)
    first, second = by_speed[0][0], by_speed[1][0]
    if first != second:
        edges[first] = min(shape[first], max(1, isqrt(n_elements)))
        edges[second] = min(shape[second], max(1, n_elements // edges[first]))
        edges[first] = 1
    for axis in by_speed[0]:
        if edges[axis] == 1:
            edges[axis] = min(shape[axis], max(1, n_elements // prod(edges)))
    return edges


def _buffer(array: Array, n: int) -> Array:
    return np.empty(n, array.dtype.newbyteorder("="))


def _copy(view: Array, buffer: Array) -> Array:
    piece = buffer[: view.size]
    np.copyto(piece.reshape(view.shape), view)
    return piece


def _restore(place: Iterable[SupportsInt], axes: tuple[int, ...]) -> tuple[int, ...]:
    """Undo the permutation of axes of an index."""
    index = [0] * len(axes)
    for axis, at in zip(axes, place, strict=True):
        index[axis] = int(at)
    return tuple(index)
