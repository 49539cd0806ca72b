"""What was paired with what: one pair, all pairs of two traces, and their float64 twins.

Facts only; `pair` finds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import final

from portalign.mapping.layouts import Layout
from portalign.records import Array, Kind, Precision, TensorKey, TensorRecord
from portalign.results import Unpaired

Records = Mapping[TensorKey, TensorRecord]
BY_CONTENT = "content"  # how a pair begins to say that nothing but its values told of it


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

    def among(
        self,
        reference: Records,
        candidate: Records,
        *,
        precision: Precision | None = None,
        kind: Kind | None = None,
    ) -> Pair | None:
        """The same pair as other records hold it; None unless all of it is there.

        Args:
            precision: of those records, where it is another.
            kind: likewise: the gradients of a pair of activations.
        """

        def there(record: TensorRecord, records: Records) -> TensorRecord | None:
            key = record.key
            wanted = replace(key, precision=precision or key.precision, kind=kind or key.kind)
            return records.get(wanted)

        ours = there(self.reference, reference)
        theirs = [there(record, candidate) for record in (self.candidate, *self.others)]
        found = [record for record in theirs if record is not None]
        if ours is None or len(found) != len(theirs):
            return None
        return replace(self, reference=ours, candidate=found[0], others=tuple(found[1:]))


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
        return pair.among(self._reference, self._candidate, precision=Precision.FLOAT64)


def label_of(record: TensorRecord) -> str:
    """How reports print a pair of activations, or of their gradients, by the reference's record."""
    kind = "grad " if record.key.kind is Kind.GRADIENT else ""
    return f"{kind}{record.key.path or '(root)'} {record.key.slot}{when(record)}"


def when(record: TensorRecord) -> str:
    key = record.key
    text = f" call {key.call}" if key.call else ""
    return text + (f" iteration {key.iteration}" if key.iteration else "")
