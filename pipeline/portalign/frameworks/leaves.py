"""Find the tensors inside whatever a module takes or returns: tuples, lists, dicts, dataclasses, nested.

Shared by both frameworks; what counts as a tensor is the caller's word.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping

Leaf = tuple[str, object]


def leaves(value: object, is_tensor: Callable[[object], bool]) -> Iterator[Leaf]:
    """Yield (dotted slot, tensor) in a fixed order; a bare tensor has the slot "".

    Values that are neither tensors nor containers (None, numbers, strings, caches) yield nothing.

    >>> list(leaves({"a": [1.0, 2.0], "b": (3.0,)}, lambda v: isinstance(v, float)))
    [('a.0', 1.0), ('a.1', 2.0), ('b.0', 3.0)]
    """
    yield from _walk("", value, is_tensor, frozenset())


def _walk(
    slot: str, value: object, is_tensor: Callable[[object], bool], above: frozenset[int]
) -> Iterator[Leaf]:
    if is_tensor(value):
        yield slot, value
        return
    if id(value) in above:  # a container that holds itself
        return
    for name, child in _children(value):
        yield from _walk(f"{slot}.{name}" if slot else name, child, is_tensor, above | {id(value)})


def _children(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):  # transformers' ModelOutput is one too
        for key in value:
            yield str(key), value[key]
    elif isinstance(value, list | tuple):
        names = getattr(value, "_fields", range(len(value)))  # named tuples keep their names
        yield from ((str(name), child) for name, child in zip(names, value, strict=True))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for entry in dataclasses.fields(value):
            yield entry.name, getattr(value, entry.name)
