"""Turns live tensors into records: copies each at once, and tells a tensor seen twice from two
tensors.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Any, final

from portalign.errors import CaptureError
from portalign.frameworks.base import Framework, Sink
from portalign.frameworks.trainer import Tensor
from portalign.records import Array, Kind, Precision, TensorKey
from portalign.store import TraceWriter, can_hold


@dataclass(frozen=True, slots=True)
class _Seen:
    alive: weakref.ref[Any]
    version: int
    order: int


@final
@dataclass(slots=True)
class Recorder:
    """Writes tensors and arrays to a trace.

    The input of a module is mostly the very tensor another one returned: as long as that object
    lives and was not changed in place it is recorded as an alias and costs nothing.
    """

    framework: Framework
    writer: TraceWriter
    _seen: dict[int, _Seen] = field(default_factory=dict)

    def tensor(self, key: TensorKey, tensor: Tensor, *, module_type: str = "") -> int | None:
        """Record a live tensor and return its order; one that can't be made an array is recorded as
        skipped.
        """
        try:
            values = self.framework.numpy(tensor)
        except CaptureError as err:
            self.writer.skip(key, err.found)
            return None
        if not can_hold(values.dtype):
            self.writer.skip(key, f"no trace can hold dtype {values.dtype}")
            return None
        return self.writer.add(key, values, module_type=module_type)

    def array(self, key: TensorKey, array: Array) -> None:
        """Record plain numbers."""
        self.writer.add(key, array)

    def sink(self, *, iteration: int, precision: Precision) -> Sink:
        """A sink that files what it gets under this iteration and precision."""

        def take(
            kind: Kind, path: str, slot: str, call: int, tensor: Tensor, module_type: str
        ) -> None:
            key = TensorKey(kind, path, slot, call, iteration, precision)
            if kind is Kind.ACTIVATION:
                self._activation(key, tensor, module_type)
            else:
                self.tensor(key, tensor, module_type=module_type)

        return take

    def _activation(self, key: TensorKey, tensor: Tensor, module_type: str) -> None:
        number, version = self.framework.identity(tensor)
        seen = self._seen.get(number)
        if seen is not None and seen.version == version and seen.alive() is tensor:
            self.writer.alias(key, of=seen.order, module_type=module_type)
            return
        order = self.tensor(key, tensor, module_type=module_type)
        if order is not None:
            self._seen[number] = _Seen(weakref.ref(tensor), version, order)
