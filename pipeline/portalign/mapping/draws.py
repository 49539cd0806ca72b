"""Which random draw of the candidate is which of the reference: by paired module, then by order.

Dropout has no weights that could tell, and one side may call a function where the other has a
module. So a draw belongs to its own module where that is paired, else to the nearest paired module
around it, and within that the order of execution decides.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from portalign.mapping._modules import module_map, upwards
from portalign.mapping.weights import WeightPlan
from portalign.records import Array, Structure

_Shape = tuple[int, ...]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """One recorded draw of the reference.

    Attributes:
        path: of the module whose code drew.
        kind: "keep" (bool: what dropout leaves standing), "uniform" or "normal".
        call: n-th draw of that module in its iteration.
        terms: of the distribution: the probability to stay; low, high; mean, deviation.
    """

    path: str
    kind: str
    call: int
    terms: tuple[float, ...]
    values: Array


@final
@dataclass(frozen=True, slots=True)
class Partners:
    """Paired modules, as far as draws need them.

    Attributes:
        own: candidate path -> reference path, of all paired modules.
        holders: the same of those with weights in them: the ones whose pairing is no guess.
    """

    own: dict[str, str]
    holders: dict[str, str]


def partners(reference: Structure, candidate: Structure, plan: WeightPlan) -> Partners:
    """Pair the modules of both sides."""
    found = module_map(reference, candidate, plan)
    with_state = {path for entry in reference.state for path in upwards(entry.module)}
    own = {theirs: ours for ours, theirs in found.items()}
    return Partners(own, {c: r for c, r in own.items() if not r or r in with_state})


@final
class Matched:
    """The reference's draws of one iteration, each given out once.

    Args:
        draws: in the order of execution.
        paired: None where the same side draws again.
    """

    def __init__(self, draws: Sequence[Draw], paired: Partners | None) -> None:
        self._left = list(draws)
        self._paired = paired

    def take(self, path: str, kind: str, terms: tuple[float, ...], shape: _Shape) -> Draw | None:
        """The counterpart of a draw, None if there is none.

        One that differs in its terms or its shape is a finding and still the counterpart; but what
        fits is taken first.
        """

        def is_equal(draw: Draw) -> bool:
            return (draw.kind, draw.terms, draw.values.shape) == (kind, terms, shape)

        def is_of_shape(draw: Draw) -> bool:
            return draw.values.shape == shape

        direct, near = self._groups(path)
        fitting = [
            *filter(is_equal, direct),
            *filter(is_of_shape, direct),
            *filter(is_equal, near),
            *filter(is_of_shape, near),
            *direct,
            *near,
        ]
        if not fitting:
            return None
        self._left.remove(fitting[0])
        return fitting[0]

    def _groups(self, path: str) -> tuple[list[Draw], list[Draw]]:
        """Draws of the paired module itself, and of all that is nearest to the same module."""
        if self._paired is None:
            return [draw for draw in self._left if draw.path == path], []
        own, holders = self._paired.own, self._paired.holders
        direct = [draw for draw in self._left if path in own and draw.path == own[path]]
        around = holders[_nearest(path, holders)]
        known = set(holders.values())
        return direct, [draw for draw in self._left if _nearest(draw.path, known) == around]


def as_kind(draw: Draw, kind: str, terms: tuple[float, ...]) -> Array | None:
    """The numbers of a draw as another kind with its own terms; None where that can't be.

    Dropout that is written with uniform numbers keeps an element where they are not below the rate
    (paddle's own, and ``floor(keep + uniform)``): each of the two gives the other.
    """
    if draw.kind == kind:
        return draw.values
    if (draw.kind, kind) == ("keep", "uniform"):
        keep = draw.terms[0]
        low, high = (1.0 - keep) / 2, (2.0 - keep) / 2  # the middles of [0, rate) and [rate, 1)
        return np.where(draw.values, high, low).astype(np.float32)
    if (draw.kind, kind) == ("uniform", "keep"):
        return np.asarray(draw.values.astype(np.float64) >= 1.0 - terms[0])
    return None


def _nearest(path: str, known: Container[str]) -> str:
    """The innermost known module around a path, itself included; the root is always known."""
    return next(each for each in upwards(path) if each in known)
