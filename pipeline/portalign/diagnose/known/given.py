"""What the state-grafted iterations started from: the reference's values by iteration and name."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import final

import numpy as np

from portalign.diagnose.known.updates import Numbers, Start
from portalign.records import Array, Kind, Precision, Trace

_Place = tuple[Kind, str, str, int]


@final
@dataclass(frozen=True, slots=True)
class Given:
    """The reference's values, in its layout.

    Attributes:
        precision: of the state-grafted iterations.
        arrays: by kind, path, slot and iteration.
        slots: what the optimizer kept, by parameter and iteration.
    """

    precision: Precision
    arrays: dict[_Place, Array]
    slots: dict[tuple[str, int], dict[str, Array]]

    def number(self, kind: Kind, path: str, slot: str, iteration: int) -> Numbers | None:
        """One recorded array in float64; None if there is none."""
        array = self.arrays.get((kind, path, slot, iteration))
        return None if array is None else np.asarray(array, np.float64)

    def start(self, name: str, iteration: int) -> Start | None:
        """What the update of a parameter started from; None unless all of it is there."""
        path, _, slot = name.rpartition(".")
        weight = self.number(Kind.PARAMETER, path, slot, iteration)
        gradient = self.number(Kind.GRADIENT, name, "clipped", iteration)
        if gradient is None:
            whole = self.number(Kind.GRADIENT, path, slot, iteration)
            share = self.number(Kind.GRADIENT_NORM, name, "clip_coefficient", iteration)
            gradient = None if whole is None or share is None else whole * share
        rate = self.number(Kind.LR, name, "rate", iteration)
        if weight is None or gradient is None or rate is None:
            return None
        kept = self.slots.get((name, iteration), {})
        slots = {slot: np.asarray(array, np.float64) for slot, array in kept.items()}
        return Start(weight, gradient, float(rate), slots)

    def outputs(self, iteration: int) -> dict[str, Numbers]:
        """Floating tensors that the model gave out, by their slots."""
        return {
            slot: np.asarray(array, np.float64)
            for (kind, path, slot, k), array in self.arrays.items()
            if kind is Kind.ACTIVATION and not path and k == iteration and array.dtype.kind == "f"
        }


def given(reference: Trace, handed: Trace) -> Given:
    """Gather them.

    Args:
        reference: the reference's trace with its initial state.
        handed: what it handed over for the state-grafted iterations.
    """
    precision = handed.records[0].key.precision if handed.records else Precision.NATIVE
    everything = (*reference.records, *handed.records)
    lifted = [r for r in everything if r.key.precision is precision]
    initial = [r for r in everything if r.key.kind is Kind.PARAMETER and r.key.iteration == 0]
    arrays: dict[_Place, Array] = {}
    slots: dict[tuple[str, int], dict[str, Array]] = defaultdict(dict)
    for record in (*lifted, *initial):
        key = record.key
        arrays.setdefault((key.kind, key.path, key.slot, key.iteration), record.array)
        if key.kind is Kind.OPTIMIZER_STATE:
            slots[key.path, key.iteration][key.slot] = record.array
    return Given(precision, arrays, slots)
