"""A model lifted by segments: whoever asks a module for a parameter gets a float64 copy of it.

The copy lasts as long as somebody uses it, so that no more of the twin is in memory than what is
being computed. The native tensors stay where they are and are the model's own again afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, final

from portalign.frameworks.base import Model
from portalign.frameworks.leaves import replaced
from portalign.frameworks.trainer import Tensor

# Where both frameworks' modules hold their own tensors, by name; buffers are written in place.
_PARAMETERS, _BUFFERS = "_parameters", "_buffers"


@contextmanager
def lifted_as_read(
    modules: Iterable[Model],
    *,
    is_low: Callable[[object], bool],
    lift: Callable[[Tensor], Tensor],
    is_written: Callable[[Model, str], bool],
) -> Iterator[None]:
    """While open, every parameter, buffer and plain tensor attribute reads as float64.

    A parameter is lifted each time it is read, by whomever: its own module, a parent, one it is
    tied to. Buffers and plain attributes are lifted once and kept, for modules write them in place;
    so are parameters that stand in a container of a module's own (the list of an RNN's weights),
    which is handed on unread. One that is held anywhere else is missed: it stays native.

    Args:
        modules: all modules of the model, a shared one once. For the forward pass only: no gradient
            gets to the native parameters.
        is_low: whether an object is a tensor that a twin lifts.
        lift: a float64 copy of a tensor.
        is_written: whether a module writes the named parameter in place.
    """
    everything = [(module, module.__dict__) for module in modules]
    own = {id(t) for _, held in everything for t in held.get(_PARAMETERS, {}).values() if is_low(t)}

    def listed(_slot: str, leaf: object) -> object:
        return lift(leaf) if id(leaf) in own else leaf

    def instead(module: Model, name: str, value: Any) -> Any:
        if name == _PARAMETERS:
            kept = {slot for slot in value if is_written(module, slot)}
            return _Lifting(value, is_low, lift, kept)
        if name == _BUFFERS:
            return _Lifting(value, is_low, lift, set(value))
        if is_low(value):
            return lift(value)
        return replaced(value, listed) if isinstance(value, list | tuple | dict) else value

    with ExitStack() as undo:
        for module, held in everything:
            for name, value in list(held.items()):
                if (new := instead(module, name, value)) is not value:
                    undo.callback(held.__setitem__, name, value)
                    held[name] = new
        yield


@final
class _Lifting(dict[str, Any]):
    """A module's own tensors by name, each lifted when it is read.

    Args:
        kept: names that are lifted at the first reading and stay so.
    """

    def __init__(
        self,
        own: dict[str, Any],
        is_low: Callable[[object], bool],
        lift: Callable[[Tensor], Tensor],
        kept: set[str],
    ) -> None:
        super().__init__(own)
        self._is_low = is_low
        self._lift = lift
        self._kept = kept

    def __getitem__(self, name: str) -> Any:
        found = super().__getitem__(name)
        if not self._is_low(found):
            return found
        lifted = self._lift(found)
        if name in self._kept:
            self[name] = lifted
        return lifted

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401 - this is `get`

    def values(self) -> Iterator[Any]:  # type: ignore[override]  # a view would show native ones
        return (self[name] for name in self)

    def items(self) -> Iterator[tuple[str, Any]]:  # type: ignore[override]  # likewise
        return ((name, self[name]) for name in self)
