"""How the axes of one tensor differ between two sides, as moves that lead there and back.

A `Layout` is a chain of moves that takes the reference's arrays to the candidate's. Which layout a
weight has is decided in `axes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from portalign.errors import MappingError
from portalign.records import Array


@final
@dataclass(frozen=True, slots=True)
class Transpose:
    """Swap the two axes of every array; its own inverse."""

    def apply(self, arrays: Sequence[Array]) -> tuple[Array, ...]:
        """Views of all arrays, transposed."""
        return tuple(array.T for array in arrays)

    def inverse(self) -> Transpose:
        """The move that undoes this one."""
        return self


@final
@dataclass(frozen=True, slots=True)
class Reshape:
    """Give every array of shape `before` the shape `after`."""

    before: tuple[int, ...]
    after: tuple[int, ...]

    def apply(self, arrays: Sequence[Array]) -> tuple[Array, ...]:
        """Views where numpy can make them."""
        return tuple(array.reshape(self.after) for array in arrays)

    def inverse(self) -> Reshape:
        """The move that undoes this one."""
        return Reshape(self.after, self.before)


@final
@dataclass(frozen=True, slots=True)
class Permute:
    """Put the axes of every array in another order: axis i of the new one is axis `axes[i]`."""

    axes: tuple[int, ...]

    def apply(self, arrays: Sequence[Array]) -> tuple[Array, ...]:
        """Views of all arrays."""
        return tuple(array.transpose(self.axes) for array in arrays)

    def inverse(self) -> Permute:
        """The move that undoes this one."""
        return Permute(tuple(self.axes.index(axis) for axis in range(len(self.axes))))


@final
@dataclass(frozen=True, slots=True)
class Packed:
    """What one tensor holds along an axis: pieces by number, in this order.

    Attributes:
        pieces: one alone, or several after each other.
        n_groups: how often they follow each other, a share of each at a time; 1 for whole pieces.
            Query, key and value packed head by head have as many groups as heads.
    """

    pieces: tuple[int, ...]
    n_groups: int = 1


@final
@dataclass(frozen=True, slots=True)
class Repack:
    """Cut arrays into pieces along one axis and join the pieces anew.

    Attributes:
        axis: from the front, or negative from the back.
        sizes: length of every piece along it.
        before: what each array holds.
        after: what each new array is to hold.
    """

    axis: int
    sizes: tuple[int, ...]
    before: tuple[Packed, ...]
    after: tuple[Packed, ...]

    def apply(self, arrays: Sequence[Array]) -> tuple[Array, ...]:
        """The new arrays: views where one array is cut into whole pieces, else copies.

        Raises:
            MappingError: too few arrays, or of another length along the axis.
        """
        lengths = [array.shape[self.axis] for array in arrays]
        wanted = [sum(self.sizes[piece] for piece in packed.pieces) for packed in self.before]
        if lengths != wanted:
            raise MappingError(
                f"arrays of length {lengths} along axis {self.axis} where {wanted} are packed",
                why="the pieces would have the wrong shape",
                do="give all of the packed tensors, in the order of the plan",
            )
        pieces: dict[int, Array] = {}
        for array, packed in zip(arrays, self.before, strict=True):
            pieces.update(zip(packed.pieces, self._cut(array, packed), strict=True))
        return tuple(self._join([pieces[p] for p in each.pieces], each) for each in self.after)

    def inverse(self) -> Repack:
        """The move that undoes this one."""
        return Repack(self.axis, self.sizes, self.after, self.before)

    def _cut(self, array: Array, packed: Packed) -> list[Array]:
        if len(packed.pieces) == 1:
            return [array]
        axis, n_groups = self.axis % array.ndim, packed.n_groups
        shares = [self.sizes[piece] // n_groups for piece in packed.pieces]
        grouped = _grouped(array, axis, n_groups)
        cut = np.split(grouped, np.cumsum(shares)[:-1], axis=axis + 1)
        return [_flat(part, axis) for part in cut]

    def _join(self, pieces: Sequence[Array], packed: Packed) -> Array:
        if len(pieces) == 1:
            return pieces[0]
        axis = self.axis % pieces[0].ndim
        grouped = [_grouped(piece, axis, packed.n_groups) for piece in pieces]
        return _flat(np.concatenate(grouped, axis=axis + 1), axis)


def _grouped(array: Array, axis: int, n_groups: int) -> Array:
    """The array with an axis cut in two: groups, and what is in each."""
    return array.reshape(*array.shape[:axis], n_groups, -1, *array.shape[axis + 1 :])


def _flat(array: Array, axis: int) -> Array:
    """The array with two axes made one again."""
    return array.reshape(*array.shape[:axis], -1, *array.shape[axis + 2 :])


Move = Transpose | Reshape | Permute | Repack


@final
@dataclass(frozen=True, slots=True)
class Layout:
    """Moves from the reference's layout to the candidate's; no moves means as it is.

    >>> Layout((Transpose(),)).forward(np.zeros((3, 2))).shape
    (2, 3)
    """

    moves: tuple[Move, ...] = ()

    def forward(self, array: Array) -> Array:
        """Reference array -> candidate array, for a layout that neither splits nor joins."""
        (moved,) = self.forward_all((array,))
        return moved

    def backward(self, array: Array) -> Array:
        """Candidate array -> reference array, for a layout that neither splits nor joins."""
        (moved,) = self.backward_all((array,))
        return moved

    def forward_all(self, arrays: Sequence[Array]) -> tuple[Array, ...]:
        """All reference arrays of a carry -> all candidate arrays. Values are never changed."""
        moved = tuple(arrays)
        for move in self.moves:
            moved = move.apply(moved)
        return moved

    def backward_all(self, arrays: Sequence[Array]) -> tuple[Array, ...]:
        """All candidate arrays of a carry -> all reference arrays, by views where possible."""
        return self.inverse().forward_all(arrays)

    def inverse(self) -> Layout:
        """The layout that leads back."""
        return Layout(tuple(move.inverse() for move in reversed(self.moves)))

    @property
    def n_given(self) -> int:
        """How many arrays it takes."""
        packs = [move for move in self.moves if isinstance(move, Repack)]
        return len(packs[0].before) if packs else 1

    def __str__(self) -> str:
        return ", then ".join(_word(move) for move in self.moves) or "as is"


AS_IS = Layout()
TRANSPOSED = Layout((Transpose(),))


def _word(move: Move) -> str:
    if isinstance(move, Transpose):
        return "transposed"
    if isinstance(move, Reshape):
        return f"reshaped to {list(move.after)}"
    if isinstance(move, Permute):
        return f"axes in the order {list(move.axes)}"
    n_groups = max(packed.n_groups for packed in (*move.before, *move.after))
    by = f" in {n_groups} groups" if n_groups > 1 else ""
    if len(move.before) == 1:
        return f"split into {len(move.after)} along axis {move.axis}{by}"
    if len(move.after) == 1:
        return f"joined from {len(move.before)} along axis {move.axis}{by}"
    return f"packed anew along axis {move.axis}{by}"
