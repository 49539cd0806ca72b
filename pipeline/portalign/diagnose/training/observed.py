"""What a side's optimizer made of the reference's values: one update of one parameter.

Of large parameters evenly spaced elements are taken: every element follows the same formula.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from portalign.compare.chain import Link
from portalign.diagnose.known.given import Given
from portalign.diagnose.known.updates import Numbers, Start
from portalign.findings import Part
from portalign.records import Array, Role

MOST_ELEMENTS: Final = 4096  # of a parameter; read off 12 arguments at most, in milliseconds


@final
@dataclass(frozen=True, slots=True)
class Update:
    """One update as a side made it, elements in a row.

    Attributes:
        start: the reference's values, the same for both sides.
        weight, slots: what the side was left with.
    """

    start: Start
    weight: Numbers
    slots: Mapping[str, Numbers]

    @property
    def step(self) -> Numbers:
        """What was taken off the weight, in units of the learning rate."""
        return (self.start.weight - self.weight) / self.start.rate


def updates(links: Sequence[Link], given: Given, role: Role) -> dict[str, list[Update]]:
    """Every parameter's updates of a side, in order; those without what they started from are left
    out.
    """
    kept: dict[tuple[str, int], dict[str, Numbers]] = defaultdict(dict)
    for link in links if role is Role.CANDIDATE else ():
        if link.part is Part.OPTIMIZER_STATE and link.pair is not None:
            values = _some(link.pair.candidate_values())
            kept[link.owner, link.iteration][link.slot] = values
    found: dict[str, list[Update]] = defaultdict(list)
    for link in links:
        start = given.start(link.owner, link.iteration) if link.part is Part.UPDATE else None
        if start is None or link.pair is None:
            continue
        if role is Role.REFERENCE:
            after = link.pair.reference.array
            slots = _all(given.slots.get((link.owner, link.iteration + 1), {}))
        else:
            after, slots = link.pair.candidate_values(), kept[link.owner, link.iteration]
        found[link.owner].append(Update(_part_of(start), _some(after), slots))
    return dict(found)


def _part_of(start: Start) -> Start:
    weight, gradient = _some(start.weight), _some(start.gradient)
    return Start(weight, gradient, start.rate, _all(start.slots), start.decay)


def _all(slots: Mapping[str, Array]) -> dict[str, Numbers]:
    return {name: _some(array) for name, array in slots.items()}


def _some(array: Array) -> Numbers:
    """Elements of an array in a row; a single number as it is."""
    if not array.ndim:
        return np.asarray(array, np.float64)
    stride = -(-array.size // MOST_ELEMENTS) or 1
    return np.asarray(np.ravel(array)[::stride], np.float64)
