"""What a watched run does at the door of every module; `frameworks.hooks` hangs it there.

Only forward hooks and tensor hooks are used: a module backward hook changes gradients bitwise in
torch. A watching hook returns nothing, for a returned value takes the place of the watched one; a
grafting hook returns just that.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from portalign.frameworks.base import Replacements, Sink
from portalign.frameworks.leaves import replaced
from portalign.frameworks.placing import Placed
from portalign.frameworks.trainer import Tensor
from portalign.records import Array, Kind

LeafFinder = Callable[[object], Iterator[tuple[str, Tensor]]]
_Place = tuple[str, str, int, str]  # path, slot, call, module type


class Keeper(Protocol):
    """Stands at the doors of a model's modules; what it returns takes the place of what came."""

    hooks: GradientHooks

    def enter(
        self, path: str, module_type: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """A module is about to run: other arguments for it, or None to leave them."""

    def leave(self, path: str, module_type: str, output: object) -> object | None:
        """A module has run: another output to pass on, or None to leave it."""


class CallCounter:
    """Which call of which module is open: calls are counted per module path, modules nest."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()
        self._open: list[tuple[str, int]] = []

    def enter(self, path: str) -> int:
        """The number of the call that begins."""
        call = self._calls[path]
        self._calls[path] += 1
        self._open.append((path, call))
        return call

    def leave(self, path: str) -> int:
        """The number of the call that ends."""
        while self._open:  # a module that raised never left: drop it
            open_path, call = self._open.pop()
            if open_path == path:
                return call
        return self._calls[path] - 1


class GradientHooks:
    """Tensor hooks that end with the watching.

    Most tensors die with their graph and their hooks with them. A module that returns its own
    parameter returns a leaf, which lives on: its hook is taken off by hand.
    """

    def __init__(self) -> None:
        self._lasting: list[Any] = []

    def hang(self, tensor: Tensor, hook: Callable[[Tensor], Tensor | None]) -> None:
        """Call `hook` with the tensor's gradient when it arrives."""
        handle = tensor.register_hook(hook)
        if tensor.is_leaf:
            self._lasting.append(handle)

    def remove(self) -> None:
        """Take off what would outlive the watching."""
        while self._lasting:
            self._lasting.pop().remove()


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
        self._calls = CallCounter()
        self.hooks = GradientHooks()

    def enter(
        self, path: str, module_type: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        """A module is about to run: record its inputs, positional ones by index, the others by
        name.
        """
        call = self._calls.enter(path)
        for value in (args, kwargs):
            for slot, tensor in self._leaves(value):
                self._sink(Kind.ACTIVATION, path, f"in.{slot}", call, tensor, module_type)

    def leave(self, path: str, module_type: str, output: object) -> None:
        """A module has run: record its outputs and, if asked, their gradients when they arrive."""
        call = self._calls.leave(path)
        for slot, tensor in self._leaves(output):
            name = f"out.{slot or '0'}"
            self._sink(Kind.ACTIVATION, path, name, call, tensor, module_type)
            if self._wants_gradient is not None and self._wants_gradient(tensor):
                self.hooks.hang(tensor, self._on_gradient(path, name, call, module_type))

    def _on_gradient(
        self, path: str, slot: str, call: int, module_type: str
    ) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            self._sink(Kind.GRADIENT, path, slot, call, gradient, module_type)

        return hook


class Grafter:
    """Sends what arrives at a module's door to the sink and lets the replacement pass in its place.

    Args:
        replacements: the reference's values by kind, path, slot and call.
        sink: takes each tensor as it arrives, before it is replaced.
        is_tensor: says what is one.
        put: the framework's way to give a tensor other values and keep it in the graph.
        version: counts the changes in place of a tensor.
        wants_gradient: says whether a tensor will get a gradient; None switches gradients off.
    """

    def __init__(
        self,
        replacements: Replacements,
        sink: Sink,
        is_tensor: Callable[[object], bool],
        put: Callable[[Tensor, Array], Tensor],
        version: Callable[[Tensor], int],
        wants_gradient: Callable[[Tensor], bool] | None,
    ) -> None:
        self._replacements = replacements
        self._sink = sink
        self._is_tensor = is_tensor
        self._put = put
        self._placed = Placed(put, version)
        self._wants_gradient = wants_gradient
        self._calls = CallCounter()
        self.hooks = GradientHooks()
        self._hung: dict[int, tuple[weakref.ref[Any], list[_Place]]] = {}

    def enter(
        self, path: str, module_type: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments the module gets instead."""
        call = self._calls.enter(path)
        new = [self._pass(value, path, "in.", call, module_type) for value in (args, kwargs)]
        return new[0], new[1]

    def leave(self, path: str, module_type: str, output: Any) -> Any:
        """The output that is passed on instead."""
        call = self._calls.leave(path)
        return self._pass(output, path, "out.", call, module_type)

    def _pass(self, value: Any, path: str, door: str, call: int, module_type: str) -> Any:
        def replace(slot: str, leaf: object) -> object:
            if not self._is_tensor(leaf):
                return leaf
            name = f"{door}{slot or '0'}"
            self._sink(Kind.ACTIVATION, path, name, call, leaf, module_type)
            array = self._replacements(Kind.ACTIVATION, path, name, call)
            passed = leaf if array is None else self._placed.instead(leaf, array)
            if door == "out." and self._wants_gradient is not None and self._wants_gradient(passed):
                self._hang(passed, (path, name, call, module_type))
            return passed

        return replaced(value, replace)

    def _hang(self, passed: Tensor, place: _Place) -> None:
        """Let the gradient of a tensor arrive at all of its places, the outermost module's first.

        The outer ones pass on what an inner one returned: to that one the replacement arrives.
        """
        known = self._hung.get(id(passed))
        if known is not None and known[0]() is passed:
            known[1].append(place)
            return
        places = [place]
        self._hung[id(passed)] = (weakref.ref(passed), places)

        def hook(gradient: Tensor) -> Tensor | None:
            new = None
            for path, slot, call, module_type in reversed(places):
                arrived = gradient if new is None else new
                self._sink(Kind.GRADIENT, path, slot, call, arrived, module_type)
                array = self._replacements(Kind.GRADIENT, path, slot, call)
                new = new if array is None else self._put(gradient, array)
            return new

        self.hooks.hang(passed, hook)
