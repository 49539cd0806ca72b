"""Modules that compute at once what the other side computes in several: their inputs and outputs.

A fused query/key/value projection returns what three projections return, packed as its weights are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from portalign.mapping.layouts import AS_IS, Layout, Packed, Repack
from portalign.mapping.pairing import Pair, label_of
from portalign.mapping.weights import WeightPlan
from portalign.records import Array, Structure, TensorRecord

HOW = "modules of fused weights"
Calls = Mapping[int, Mapping[str, TensorRecord]]


@final
@dataclass(frozen=True, slots=True)
class Fused:
    """Modules that hold the tensors of one carry in which some pack others.

    Attributes:
        reference: paths, in the order of the arrays that `outputs` takes.
        candidate: paths, in the order of the arrays that it makes.
        outputs: from the outputs of the former to those of the latter.
    """

    reference: tuple[str, ...]
    candidate: tuple[str, ...]
    outputs: Repack


def fused_modules(
    reference: Structure, candidate: Structure, plan: WeightPlan
) -> tuple[Fused, ...]:
    """All groups of modules whose weights pack each other's; a tied tensor names no module."""
    homes = _homes(reference), _homes(candidate)
    found: dict[tuple[tuple[str, ...], ...], set[Repack]] = defaultdict(set)
    for entry in plan.entries:
        if entry.outputs is None:
            continue
        paths = tuple(
            tuple(path for name in names for path in home[name])
            for names, home in zip((entry.reference, entry.candidate), homes, strict=True)
        )
        if tuple(map(len, paths)) == (len(entry.reference), len(entry.candidate)):
            found[paths].add(entry.outputs)
    return tuple(
        Fused(ours, theirs, *outputs)
        for (ours, theirs), outputs in found.items()
        if len(outputs) == 1
    )


def _homes(structure: Structure) -> dict[str, list[str]]:
    """Name a tensor is registered under first -> paths of all modules that hold it."""
    found: dict[str, list[str]] = defaultdict(list)
    for info in structure.state:
        found[info.tied_to or info.name].append(info.module)
    return found


def pair_fused(modules: Fused, ours: Sequence[Calls], theirs: Sequence[Calls]) -> list[Pair]:
    """The pairs of their inputs and outputs, call by call; none where shapes or calls don't fit.

    Args:
        ours: what the reference's modules were called with and returned, in the order of `modules`.
        theirs: the same of the candidate.
    """
    if len({frozenset(calls) for calls in (*ours, *theirs)}) != 1:
        return []
    pairs: list[Pair] = []
    for call in ours[0]:
        outputs = [[calls[call].get("out.0") for calls in side] for side in (ours, theirs)]
        left, right = ([r for r in side if r is not None] for side in outputs)
        if not _fits(left, modules.outputs.before, modules.outputs):
            return []
        if not _fits(right, modules.outputs.after, modules.outputs):
            return []
        layout = Layout((modules.outputs,))
        for part, record in enumerate(left):
            pairs.append(
                Pair(record, right[0], layout, HOW, label_of(record), tuple(right[1:]), part)
            )
        pairs += _inputs(modules.outputs, [c[call] for c in ours], [c[call] for c in theirs])
    return pairs


def _fits(records: Sequence[TensorRecord], holds: Sequence[Packed], repack: Repack) -> bool:
    """Whether these arrays are as long as what they hold."""
    if len(records) != len(holds):
        return False
    arrays = [record.array for record in records]
    if any(array.ndim <= repack.axis or array.ndim < 2 for array in arrays):
        return False
    lengths = [sum(repack.sizes[piece] for piece in packed.pieces) for packed in holds]
    found = [array.shape[repack.axis] for array in arrays]
    return found == lengths and len({_without(a, repack.axis) for a in arrays}) == 1


def _without(array: Array, axis: int) -> tuple[int, ...]:
    shape = list(array.shape)
    del shape[axis]
    return tuple(shape)


def _inputs(
    repack: Repack,
    ours: Sequence[Mapping[str, TensorRecord]],
    theirs: Sequence[Mapping[str, TensorRecord]],
) -> Iterable[Pair]:
    """Each module of one side takes what every module takes that shares a piece with it."""
    for a, mine in enumerate(ours):
        partners = [
            other["in.0"]
            for b, other in enumerate(theirs)
            if set(repack.before[a].pieces) & set(repack.after[b].pieces) and "in.0" in other
        ]
        for other in partners:
            record = mine.get("in.0")
            if record is None or record.array.shape != other.array.shape:
                continue
            more = f" as {other.key.path}" if len(partners) > 1 else ""
            yield Pair(record, other, AS_IS, HOW, label_of(record) + more)
