"""The tensors of one side as they were seen: each once, under all of its names, and when.

A trace has a record for every door a tensor went through; whoever counts equal tensors must not
count those twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import final

import numpy as np

from portalign.mapping._content import Values, are_alike, values_of
from portalign.mapping.pairing import Records
from portalign.records import TensorRecord


@final
class SeenTensor:
    """One tensor under all names it was seen by: passed on, or returned as it came.

    Args:
        records: in the order in which it was seen.
        twins: all records of its side by key.
        since: before that it wasn't there: when the module was entered whose code made it.
    """

    def __init__(self, records: Sequence[TensorRecord], twins: Records, since: int) -> None:
        self.records = records
        self.since = since
        self._twins = twins

    @property
    def seen(self) -> int:
        """When it was seen first."""
        return self.records[0].order

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.records[0].array.size

    @property
    def bare_shape(self) -> tuple[int, ...]:
        """Its shape without axes of length 1."""
        return tuple(n for n in self.records[0].array.shape if n != 1)

    @cached_property
    def values(self) -> Values | None:
        """Its numbers; None where they tell nothing."""
        return values_of(self.records[0], self._twins)

    def is_like(self, other: SeenTensor) -> bool:
        """Whether it may hold the same values in whatever order."""
        return bool(self.values and other.values and are_alike(self.values, other.values))


@final
class SeenSide:
    """All tensors of one side."""

    def __init__(self, records: Sequence[TensorRecord], twins: Records) -> None:
        roots = _roots(records)
        groups: dict[int, list[TensorRecord]] = defaultdict(list)
        for record in records:
            groups[roots[id(record)]].append(record)
        since = _Since(records)
        self.tensors = [SeenTensor(group, twins, since.of(group[0])) for group in groups.values()]
        self.of = {id(r): tensor for tensor in self.tensors for r in tensor.records}

    @cached_property
    def by_size(self) -> dict[int, list[SeenTensor]]:
        """All tensors by their number of elements."""
        return by_size(self.tensors)


class _Since:
    """When the code could begin to run that made a tensor, by the module calls around it."""

    def __init__(self, records: Sequence[TensorRecord]) -> None:
        self._spans: dict[str, list[list[int]]] = defaultdict(list)
        calls: dict[tuple[str, int, int], list[int]] = {}
        for record in records:
            key = record.key
            place = key.path, key.call, key.iteration
            if place not in calls:
                calls[place] = [record.order, record.order]
                self._spans[key.path].append(calls[place])
            calls[place][1] = record.order

    def of(self, record: TensorRecord) -> int:
        """Order of the first record of the module call that made what this record saw first."""
        path = record.key.path
        if record.key.slot.startswith("in."):  # the code around the module made it
            path = path.rpartition(".")[0] if path else ""
        while True:
            for first, last in self._spans.get(path, ()):
                if first <= record.order <= last:
                    return first
            if not path:
                return 0
            path = path.rpartition(".")[0]


def _roots(records: Sequence[TensorRecord]) -> dict[int, int]:
    """Id of each record -> order of the first record of the same tensor.

    What a module returns as it came (dropout in evaluation) is the same tensor, though the
    framework may hand out a copy.
    """
    found: dict[int, int] = {}
    by_order: dict[int, int] = {}
    inputs: dict[tuple[str, int, int], TensorRecord] = {}
    for record in records:
        key, place = record.key, (record.key.path, record.key.call, record.key.iteration)
        root = by_order.get(record.order if record.alias_of is None else record.alias_of)
        given = inputs.get(place)
        if root is None and given is not None and key.slot == "out.0" and _is_copy(record, given):
            root = found[id(given)]
        root = record.order if root is None else root
        by_order[record.order] = found[id(record)] = root
        if key.slot == "in.0":
            inputs[place] = record
    return found


def _is_copy(record: TensorRecord, given: TensorRecord) -> bool:
    a, b = record.array, given.array
    return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b)


def by_size(tensors: Iterable[SeenTensor]) -> dict[int, list[SeenTensor]]:
    found: dict[int, list[SeenTensor]] = defaultdict(list)
    for tensor in tensors:
        found[tensor.size].append(tensor)
    return found
