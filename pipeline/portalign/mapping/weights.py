"""What a weight plan is, and how values travel along it.

`names` makes plans; this module only holds them and carries arrays, so that stages and the analysis
read a plan without knowing how it was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import final

from portalign.mapping.layouts import Layout, Repack
from portalign.records import Array


class Fate(str, Enum):
    """What became of a tensor."""

    LOADED = "loaded"  # reference values are written to the candidate
    COMPUTED = "computed"  # each side computes it itself; compared, not written
    UNUSED = "unused"  # stands on one side only and does no harm
    TIED = "tied"  # one tensor under several names


@final
@dataclass(frozen=True, slots=True)
class Carry:
    """Reference tensors and the candidate tensors they fill.

    Tied tensors stand under the name they were registered first with.

    Attributes:
        reference: names; several when the candidate packs them into one tensor.
        candidate: names; several when the reference packs them into one tensor.
        layout: from the reference's arrays, in order, to the candidate's.
        why: the rule that matched them, and what it rests on.
        is_copied: False where each side computes the values itself (a non-persistent buffer):
            writing them would hide a wrong computation, so they are only compared.
        outputs: where some of them pack others, the move from the outputs of the modules that hold
            the reference's to those of the candidate's; None where none is packed, or layers are
            stacked.
    """

    reference: tuple[str, ...]
    candidate: tuple[str, ...]
    layout: Layout
    why: str
    is_copied: bool = True
    outputs: Repack | None = None


@final
@dataclass(frozen=True, slots=True)
class AuditLine:
    """One sentence on what became of one tensor."""

    fate: Fate
    reference: tuple[str, ...]
    candidate: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{self.fate.value}: {self.text}"


@final
@dataclass(frozen=True, slots=True)
class WeightPlan:
    """Where every reference tensor goes. Entries are in the reference's registration order."""

    entries: tuple[Carry, ...]
    audit: tuple[AuditLine, ...] = ()

    def harmless(self) -> frozenset[str]:
        """Names, of either side, that need no counterpart."""
        lines = (line for line in self.audit if line.fate is Fate.UNUSED)
        return frozenset(name for line in lines for name in (*line.reference, *line.candidate))


def carry(plan: WeightPlan, read: Callable[[str], Array]) -> Iterator[tuple[str, Array]]:
    """Yield every candidate tensor the plan fills, with the reference's values.

    Args:
        read: gives the array of a reference name; called once per reference tensor of an entry.

    Yields:
        Candidate name and array in the candidate's layout: dtype and values as read, often a
        read-only or non-contiguous view. NaN travels like any value.
    """
    for entry in plan.entries:
        if entry.is_copied:
            arrays = entry.layout.forward_all([read(name) for name in entry.reference])
            yield from zip(entry.candidate, arrays, strict=True)


def carry_slots(
    plan: WeightPlan, slots: Mapping[str, Mapping[str, Array]]
) -> dict[str, dict[str, Array]]:
    """Carry what an optimizer keeps, to the candidate's names and layouts.

    A slot that is one number stays the same in any layout; one that not all packed parameters have
    is left out.

    Args:
        slots: reference parameter -> slot -> array.
    """
    found: dict[str, dict[str, Array]] = {}
    for entry in plan.entries:
        given = [slots.get(name, {}) for name in entry.reference]
        for slot in given[0]:
            arrays = [each[slot] for each in given if slot in each]
            if len(arrays) < len(given):
                continue
            is_number = all(array.ndim == 0 for array in arrays)
            new = arrays[:1] * len(entry.candidate) if is_number else ()
            for name, array in zip(
                entry.candidate, new or entry.layout.forward_all(arrays), strict=True
            ):
                found.setdefault(name, {})[slot] = array
    return found
