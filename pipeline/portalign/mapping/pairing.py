"""What was paired with what: one pair, all pairs of two traces, and their float64 twins.

Facts only; `pair` finds them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import final

from portalign.mapping.layouts import Layout
from portalign.records import Array, Precision, TensorKey, TensorRecord
from portalign.results import Unpaired


@final
@dataclass(frozen=True, slots=True)
class Pair:
    """One reference record and what it is compared with.

    Attributes:
        candidate: its counterpart; the first of them where the reference packs several.
        others: the rest of the packed counterparts, in the plan's order.
        layout: from the reference's layout to the candidate's.
        part: which of the reference's tensors this is, where the candidate packs several.
        how: the rule that paired them.
        label: how reports print it; unique within a pairing.
    """

    reference: TensorRecord
    candidate: TensorRecord
    layout: Layout
    how: str
    label: str
    others: tuple[TensorRecord, ...] = ()
    part: int = 0

    def candidate_values(self) -> Array:
        """The candidate's values in the reference's layout and packing; a view where possible."""
        arrays = [record.array for record in (self.candidate, *self.others)]
        return self.layout.backward_all(arrays)[self.part]


@final
@dataclass(frozen=True, slots=True)
class Pairing:
    """All native pairs in the reference's capture order, and all records without a counterpart."""

    pairs: tuple[Pair, ...]
    unpaired: tuple[Unpaired, ...]
    _reference: dict[TensorKey, TensorRecord] = field(default_factory=dict, repr=False)
    _candidate: dict[TensorKey, TensorRecord] = field(default_factory=dict, repr=False)

    def twin(self, pair: Pair) -> Pair | None:
        """The same pair in float64; None unless every record of it has a twin."""
        reference = self._reference.get(_lifted(pair.reference.key))
        found = [self._candidate.get(_lifted(r.key)) for r in (pair.candidate, *pair.others)]
        twins = [record for record in found if record is not None]
        if reference is None or len(twins) != len(found):
            return None
        return replace(pair, reference=reference, candidate=twins[0], others=tuple(twins[1:]))


def _lifted(key: TensorKey) -> TensorKey:
    return replace(key, precision=Precision.FLOAT64)


def when(record: TensorRecord) -> str:
    key = record.key
    text = f" call {key.call}" if key.call else ""
    return text + (f" iteration {key.iteration}" if key.iteration else "")
