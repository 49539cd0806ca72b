"""Weights solved for from what they were applied to and what came of it.

Only where there are more rows than numbers to solve for: then a weight that gives all of them is no
accident. What can't be told raises ValueError.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.windows import padded, windows

SPARE = 4  # rows beyond the numbers of a weight: with fewer any weight would seem to fit
WIDEST = 1024  # solving takes the cube of the numbers: 3 s of one core at 1024
# Times as many rows as numbers are solved for, or so many rows: of few rows behind a ReLU some
# direction is missing that others have. The proof takes all of them.
_ENOUGH, _MANY = 2, 2048


@final
@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """What a weight was applied to, and what came of it; equal where the arrays are the same."""

    x: Numbers
    target: Numbers
    bias: Numbers | None
    weight: Numbers | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Made) and all(
            getattr(self, name) is getattr(other, name) for name in self.__slots__
        )

    def __hash__(self) -> int:
        return hash((id(self.x), id(self.target)))


@lru_cache(maxsize=2)  # a search asks again beside every other knob
def matrix(given: Made, cap: float) -> Numbers:
    """The matrix [out, in] of a product; `cap` is the soft-cap around it, 0.0 for none.

    In directions that the input doesn't have it is the weight of `given`.
    """
    x = given.x.reshape(-1, given.x.shape[-1])
    made = given.target.reshape(-1, given.target.shape[-1])
    with np.errstate(all="ignore"):
        made = cap * np.arctanh(made / cap) if cap else made
    made = made if given.bias is None else made - given.bias
    if not np.isfinite(made).all():
        raise ValueError("the cap can't be undone")
    return _solved(x, made, given.weight)


def table(ids: Numbers, own: Numbers, target: Numbers) -> Numbers:
    """A table with the rows that were taken for the ids that occur, else the given one."""
    given, first = np.unique(ids, return_index=True)
    found = own.copy()
    found[given.astype(int)] = target.reshape(-1, target.shape[-1])[first]
    return found


@lru_cache(maxsize=4)
def kernel(
    given: Made, shape: tuple[int, ...], sides: tuple[int, int], stride: int, dilation: int
) -> Numbers:
    """The kernel of a convolution, of a shape [out, in / groups, *places]; else as `matrix`."""
    n_axes = len(shape) - 2
    x = padded(given.x, np.array([sides] * n_axes), 0.0)
    seen = windows(x, shape[2:], stride, dilation)  # [batch, in, *places, *kernel]
    made = given.target
    if seen.shape[2 : 2 + n_axes] != made.shape[2:]:
        raise ValueError("another number of places")
    made = made if given.bias is None else made - given.bias.reshape(-1, *[1] * n_axes)
    n_groups = x.shape[1] // shape[1]
    parts = []
    weight = np.zeros(shape) if given.weight is None else given.weight
    for part, own, kept in zip(
        *(np.split(each, n_groups, 1) for each in (seen, made)),
        np.split(weight, n_groups),
        strict=True,
    ):
        rows = np.moveaxis(part, 1, 1 + n_axes).reshape(-1, int(np.prod(shape[1:])))
        aims = np.moveaxis(own, 1, -1).reshape(len(rows), -1)
        parts.append(_solved(rows, aims, kept.reshape(len(kept), -1)).reshape(-1, *shape[1:]))
    return np.concatenate(parts)


def _solved(x: Numbers, made: Numbers, own: Numbers | None) -> Numbers:
    """[out, in] with `x @ found.T == made`, and no farther from the given one than it must be."""
    width = x.shape[1]
    given = np.zeros((made.shape[1], width)) if own is None else own
    n_rows = min(len(x), max(_ENOUGH * width + SPARE, _MANY))
    rows = np.linspace(0, len(x) - 1, n_rows).astype(int)
    x, made = x[rows], made[rows]
    change, _, rank, _ = np.linalg.lstsq(x, made - x @ given.T, rcond=None)
    if len(rows) < rank + SPARE:
        raise ValueError("the input doesn't tell the weight")
    return np.asarray(given + change.T)
