"""What a watched run does at the door of every module. How hooks are hung is each framework's own.

Only forward hooks and tensor hooks are used and nothing is ever returned from one: a module backward
hook changes gradients bitwise in torch, and a returned value would replace the watched one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from portalign.frameworks.base import Sink, Tensor
from portalign.records import Kind

LeafFinder = Callable[[object], Iterator[tuple[str, Tensor]]]


class Doorkeeper:
    """Counts the calls of each module and sends what passes its door to the sink.

    Args:
        sink: takes each tensor at once.
        find_leaves: the framework's `leaves`.
        wants_gradient: says whether a tensor will get a gradient; None switches gradients off.
    """

    def __init__(
        self,
        sink: Sink,
        find_leaves: LeafFinder,
        wants_gradient: Callable[[Tensor], bool] | None,
    ) -> None:
        self._sink = sink
        self._leaves = find_leaves
        self._wants_gradient = wants_gradient
        self._calls: Counter[str] = Counter()
        self._open: list[tuple[str, int]] = []

    def enter(
        self, path: str, module_type: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        """A module is about to run: record its inputs, positional ones by index, the others by name."""
        call = self._calls[path]
        self._calls[path] += 1
        self._open.append((path, call))
        for value in (args, kwargs):
            for slot, tensor in self._leaves(value):
                self._sink(Kind.ACTIVATION, path, f"in.{slot}", call, tensor, module_type)

    def leave(self, path: str, module_type: str, output: object) -> None:
        """A module has run: record its outputs and, if asked, their gradients when they arrive."""
        call = self._close(path)
        for slot, tensor in self._leaves(output):
            name = f"out.{slot or '0'}"
            self._sink(Kind.ACTIVATION, path, name, call, tensor, module_type)
            if self._wants_gradient is not None and self._wants_gradient(tensor):
                tensor.register_hook(self._on_gradient(path, name, call, module_type))

    def _close(self, path: str) -> int:
        while self._open:  # a module that raised never left: drop it
            open_path, call = self._open.pop()
            if open_path == path:
                return call
        return self._calls[path] - 1

    def _on_gradient(
        self, path: str, slot: str, call: int, module_type: str
    ) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            self._sink(Kind.GRADIENT, path, slot, call, gradient, module_type)

        return hook
