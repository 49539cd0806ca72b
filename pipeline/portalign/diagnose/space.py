"""The members of a family on one reading, and the budget of what may be computed to find the right
one.

The budget counts elements and not seconds, so that a diagnosis is the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

from portalign.diagnose.confirm import relative
from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Family, Knob, Reading, Value, computed
from portalign.diagnose.fit import fitted
from portalign.diagnose.words import nice

# One computation of a member costs its elements and what numpy costs anyway: 0.25 ms for a small
# attention core, as much as 25,000 elements at 1e8 a second (measured on one core).
_OVERHEAD = 25_000
STEP_BUDGET = 2_000_000_000  # 20 s of one core
ORIGIN_BUDGET = 500_000_000  # 5 s
_READ = 40  # reading a core off its output costs as much as so many computations of one (measured)


@final
@dataclass(slots=True)
class Budget:
    """What may still be computed, in elements: for the whole step, and for one origin of it."""

    step: int = STEP_BUDGET
    origin: int = ORIGIN_BUDGET

    def begin(self) -> None:
        """Another origin."""
        self.origin = ORIGIN_BUDGET

    @property
    def is_spent(self) -> bool:
        """Nothing more may be computed."""
        return min(self.step, self.origin) <= 0

    def spend(self, n_elements: int) -> None:
        """Pay for one computation."""
        self.step -= n_elements + _OVERHEAD
        self.origin -= n_elements + _OVERHEAD


@final
class Space:
    """The members of a family on one reading.

    Args:
        good: relative difference up to which a member is what made the target.
    """

    def __init__(
        self,
        family: Family,
        knobs: Sequence[Knob],
        reading: Reading,
        *,
        good: float,
        budget: Budget,
    ) -> None:
        self.knobs, self.is_rare, self.good, self.budget = knobs, family.is_rare, good, budget
        self._family, self._reading = family, reading
        target = reading.view.target
        n_elements = sum(each.size for each in reading.tensors.values()) + target.size
        # the scores of an attention core are as large as its tensors times places over head width
        places = target.shape[1] if family.is_rare and target.ndim > 1 else 0
        self._n_elements = n_elements * (1 + places // 16)

    def off(self, chosen: Chosen) -> float:
        """How far a member is from the target, relative; inf where it can't be computed, or where
        the budget is spent.
        """
        if self.budget.is_spent:
            return math.inf
        try:
            made = self._made(chosen)
        except (ValueError, IndexError):  # shapes that this member can't have
            return math.inf
        return relative(made, self._reading.view.target)

    def read_off(self) -> Iterator[Chosen]:
        """Members that can be read off the target itself."""
        if self._family.members is not None and not self.budget.is_spent:
            self.budget.spend(self._n_elements * _READ)
            yield from self._family.members(self._reading, self.knobs)

    def settings(self, knobs: Sequence[Knob], start: Chosen) -> Iterator[Chosen]:
        """Every way to set all of the knobs, to their usual values and without fits."""
        if not knobs:
            yield start
            return
        knob, *rest = knobs
        usual = knob.usual or knob.values
        for value in _each_once((*usual(self._reading, start), knob.neutral), ()):
            yield from self.settings(rest, {**start, knob.name: value})

    def turned(self, knob: Knob, start: Chosen, *, is_usual: bool = False) -> Iterator[Chosen]:
        """Every way to turn one knob from a start, fitted values last."""
        values = knob.usual if is_usual and knob.usual else knob.values
        standing = start.get(knob.name, knob.neutral)
        plain = (*values(self._reading, start), knob.neutral)
        for value in _each_once(plain, (standing,)):
            yield {**start, knob.name: value}
        for guess in knob.guesses:
            for value in self._fitted(knob, start, guess):
                if value not in plain:
                    yield {**start, knob.name: value}

    def _fitted(self, knob: Knob, start: Chosen, guess: float) -> Iterator[Value]:
        if self.budget.is_spent:
            return
        value = fitted(
            lambda value: self._made({**start, knob.name: value}),
            self._reading.view.target,
            guess,
            is_log=knob.is_log,
        )
        if math.isfinite(value):
            yield from nice(value)

    def _made(self, chosen: Chosen) -> Numbers:
        self.budget.spend(self._n_elements)
        return computed(self._family, self.knobs, self._reading, chosen)


def _each_once(values: Sequence[Value], known: Sequence[Value]) -> Iterator[Value]:
    told = list(known)
    for value in values:
        if value not in told:
            told.append(value)
            yield value
