"""All ways in which the same elements can lie in two shapes: axes reordered, merged, cut.

[batch, time, heads * width] and [batch, heads, time, width] are two of them. Enumerated from the
shapes with as few cuts as they need; which of them it is, if any, only the values tell.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import final

import numpy as np
import numpy.typing as npt

from portalign.mapping.layouts import Layout, Move, Permute, Reshape

_MOST_SPLITS = 2  # cuts beyond the larger number of axes
_MOST_LAYOUTS = 400  # five equal axes have 120; what has more is no layout that can be told
Places = npt.NDArray[np.int64]
_Shape = tuple[int, ...]
_Cut = tuple[tuple[int, ...], ...]  # [reference axis][candidate axis]: what of both is one


@final
@dataclass(frozen=True, slots=True)
class Relayout:
    """The reference's elements, seen along `atoms`, put in another order of those axes.

    Attributes:
        reference, candidate: the shapes.
        atoms: axes into which both can be cut, in the reference's order.
        order: which of them stands at each place of the candidate's.
    """

    reference: _Shape
    candidate: _Shape
    atoms: _Shape
    order: tuple[int, ...]

    def layout(self) -> Layout:
        """The same as moves, as few as it takes."""
        moves: list[Move] = []
        turned = tuple(self.atoms[at] for at in self.order)
        if self.order == tuple(range(len(self.order))):
            moves = [Reshape(self.reference, self.candidate)]
        else:
            moves = [Reshape(self.reference, self.atoms), Permute(self.order)]
            moves.append(Reshape(turned, self.candidate))
        needed = (m for m in moves if not isinstance(m, Reshape) or m.before != m.after)
        return Layout(tuple(needed))

    def places(self, flat: Places) -> Places:
        """Flat places in the candidate -> flat places of the same elements in the reference."""
        turned = tuple(self.atoms[at] for at in self.order)
        found = np.unravel_index(flat, turned)
        places = [found[self.order.index(at)] for at in range(len(self.atoms))]
        return np.ravel_multi_index(places, self.atoms).astype(np.int64)


def relayouts(reference: _Shape, candidate: _Shape) -> list[Relayout]:
    """Every way without needless cuts; empty where the sizes differ, or where there are too many.

    Axes of length 1 may stand anywhere.
    """
    ours, theirs = (tuple(n for n in shape if n != 1) for shape in (reference, candidate))
    if math.prod(reference) != math.prod(candidate) or not (ours and theirs):
        return []
    found = []
    for cut in _cuts(ours, theirs):
        for atoms, order in _orders(cut):
            found.append(Relayout(reference, candidate, atoms, order))
            if len(found) > _MOST_LAYOUTS:
                return []
    return found


def _cuts(ours: _Shape, theirs: _Shape) -> list[_Cut]:
    """Tables whose rows multiply to one shape and columns to the other, of fewest pieces."""
    least = max(len(ours), len(theirs))
    for n_pieces in range(least, least + _MOST_SPLITS + 1):
        found = list(_tables(ours, theirs, n_pieces))
        if found:
            return found
    return []


def _tables(rows: _Shape, columns: _Shape, n_pieces: int) -> Iterator[_Cut]:
    if n_pieces < max(len(rows), sum(n > 1 for n in columns)):
        return
    if not rows:
        if n_pieces == 0:
            yield ()
        return
    for row in _row(rows[0], columns, n_pieces - (len(rows) - 1)):
        used = sum(n > 1 for n in row)
        rest = tuple(n // piece for n, piece in zip(columns, row, strict=True))
        for table in _tables(rows[1:], rest, n_pieces - used):
            yield (row, *table)


def _row(size: int, columns: _Shape, most: int) -> Iterator[tuple[int, ...]]:
    """Ways to write a size as one factor of each column, at most so many of them above 1."""
    if not columns:
        if size == 1:
            yield ()
        return
    for piece in _divisors(math.gcd(size, columns[0])):
        if most >= (piece > 1):
            for rest in _row(size // piece, columns[1:], most - (piece > 1)):
                yield (piece, *rest)


@cache
def _divisors(number: int) -> tuple[int, ...]:
    return tuple(n for n in range(1, number + 1) if number % n == 0)


def _orders(cut: _Cut) -> Iterator[tuple[_Shape, tuple[int, ...]]]:
    """The pieces in the reference's order, and that order as the candidate has it."""
    spots = [(i, j) for i, row in enumerate(cut) for j, piece in enumerate(row) if piece > 1]
    rows = [[spot for spot in spots if spot[0] == i] for i in range(len(cut))]
    columns = [[spot for spot in spots if spot[1] == j] for j in range(len(cut[0]))]
    for ours in _each_permuted(rows):
        atoms = tuple(cut[i][j] for i, j in ours)
        for theirs in _each_permuted(columns):
            yield atoms, tuple(ours.index(spot) for spot in theirs)


def _each_permuted(groups: Sequence[list[tuple[int, int]]]) -> Iterator[list[tuple[int, int]]]:
    for chosen in itertools.product(*(itertools.permutations(group) for group in groups)):
        yield [spot for group in chosen for spot in group]
