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
class Split:
    """Cut one array into `n_parts` equal views along `axis`."""

    axis: int
    n_parts: int

    def apply(self, arrays: Sequence[Array]) -> tuple[Array, ...]:
        """The parts of the only array, in order."""
        (array,) = arrays
        return tuple(np.split(array, self.n_parts, axis=self.axis))

    def inverse(self) -> Concat:
        """The move that undoes this one."""
        return Concat(self.axis, self.n_parts)


@final
@dataclass(frozen=True, slots=True)
class Concat:
    """Join `n_parts` arrays along `axis` into a new one."""

    axis: int
    n_parts: int

    def apply(self, arrays: Sequence[Array]) -> tuple[Array, ...]:
        """One array; the inputs are copied."""
        if len(arrays) != self.n_parts:
            raise MappingError(
                f"{len(arrays)} arrays where {self.n_parts} are packed into one tensor",
                why="the packed tensor would have the wrong shape",
                do="give all of the packed parts, in the order of the plan",
            )
        return (np.concatenate(list(arrays), axis=self.axis),)

    def inverse(self) -> Split:
        """The move that undoes this one."""
        return Split(self.axis, self.n_parts)


Move = Transpose | Reshape | Split | Concat


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

    def __str__(self) -> str:
        return ", then ".join(_word(move) for move in self.moves) or "as is"


AS_IS = Layout()
TRANSPOSED = Layout((Transpose(),))


def _word(move: Move) -> str:
    if isinstance(move, Transpose):
        return "transposed"
    if isinstance(move, Reshape):
        return f"reshaped to {list(move.after)}"
    verb = "split into" if isinstance(move, Split) else "joined from"
    return f"{verb} {move.n_parts} along axis {move.axis}"
