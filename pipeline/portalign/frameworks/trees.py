"""A model's tree and state as `records` know them, from what a framework's own walk finds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import final

from portalign.errors import CaptureError
from portalign.frameworks.trainer import Tensor
from portalign.records import Kind, ModuleInfo, ParameterInfo, Structure


@final
@dataclass(frozen=True, slots=True)
class Held:
    """A parameter or buffer where a module holds it; fields as in `ParameterInfo`."""

    module: str
    slot: str
    module_type: str
    tensor: Tensor
    dtype: str
    kind: Kind
    trainable: bool
    persistent: bool

    @property
    def name(self) -> str:
        """Its full dotted name."""
        return f"{self.module}.{self.slot}" if self.module else self.slot


def attribute(module: str, slot: str, module_type: str, tensor: Tensor, dtype: str) -> Held:
    """A tensor that a module merely has, as a buffer that is in no state dict."""
    return Held(
        module, slot, module_type, tensor, dtype, Kind.BUFFER, trainable=False, persistent=False
    )


def with_attributes(registered: Iterable[Held], attributes: Iterable[Held]) -> Iterator[Held]:
    """Everything registered, then the attributes that are no second name of its memory."""
    first, more = list(registered), list(attributes)
    yield from first
    known = {held.tensor.data_ptr() for held in first} if more else set()
    yield from (held for held in more if held.tensor.data_ptr() not in known)


def structure(
    framework: str, modules: Iterable[tuple[str, str]], state: Iterable[Held]
) -> Structure:
    """Put a tree together.

    Args:
        framework: its name.
        modules: path and type of every module, a shared one once.
        state: every place that holds a parameter, buffer or plain tensor attribute, in this order
            and that of registration; a tensor that is held in several places is tied to the first
            of them.
    """
    first: dict[int, str] = {}
    entries = []
    for held in state:
        tied_to = first.setdefault(id(held.tensor), held.name)
        entries.append(
            ParameterInfo(
                name=held.name,
                module=held.module,
                slot=held.slot,
                module_type=held.module_type,
                shape=tuple(held.tensor.shape),
                dtype=held.dtype,
                kind=held.kind,
                trainable=held.trainable,
                persistent=held.persistent,
                tied_to=None if tied_to == held.name else tied_to,
            )
        )
    return Structure(framework, tuple(ModuleInfo(*module) for module in modules), tuple(entries))


def named(state: Iterable[Held]) -> Iterator[tuple[str, Tensor]]:
    """Full name and live tensor of everything held."""
    for held in state:
        yield held.name, held.tensor


def check_shape(name: str, found: Sequence[int], expected: Sequence[int]) -> None:
    """Raise CaptureError unless values of shape `found` fit the tensor they are loaded into."""
    if tuple(found) != tuple(expected):
        raise CaptureError(
            f"{name}: values of shape {tuple(found)} for a tensor of shape {tuple(expected)}",
            why="a broadcast would load something else than the reference's weight",
            do="correct `weights:` in the port file",
        )
