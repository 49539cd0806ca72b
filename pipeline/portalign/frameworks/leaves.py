"""Find and replace the tensors inside the tuples, lists, dicts and dataclasses of a module.

Shared by both frameworks; what counts as a tensor is the caller's word.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

Leaf = tuple[str, object]


def leaves(value: object, is_tensor: Callable[[object], bool]) -> Iterator[Leaf]:
    """Yield (dotted slot, tensor) in a fixed order; a bare tensor has the slot "".

    Values that are neither tensors nor containers (None, numbers, strings, caches) yield nothing.

    >>> list(leaves({"a": [1.0, 2.0], "b": (3.0,)}, lambda v: isinstance(v, float)))
    [('a.0', 1.0), ('a.1', 2.0), ('b.0', 3.0)]
    """
    yield from _walk("", value, is_tensor, frozenset())


def replaced(value: Any, replace: Callable[[str, object], object]) -> Any:
    """A copy of `value` with every leaf put through `replace(slot, leaf)`; slots as in `leaves`.

    `replace` gets everything that is no container and returns what shall stand in its place. The
    containers keep their types; one of which nothing changes is returned itself, and so is one that
    can't be built anew.

    >>> replaced({"a": [1.0, 2.0]}, lambda slot, leaf: slot)
    {'a': ['a.0', 'a.1']}
    """
    return _replaced(value, replace, "", frozenset())


def _replaced(
    value: Any, replace: Callable[[str, object], object], slot: str, above: frozenset[int]
) -> Any:
    children = dict(_children(value))
    if not children:
        return replace(slot, value)
    if id(value) in above:  # a container that holds itself
        return value
    new = {
        name: _replaced(child, replace, f"{slot}.{name}" if slot else name, above | {id(value)})
        for name, child in children.items()
    }
    if all(new[name] is child for name, child in children.items()):
        return value
    try:
        return _rebuilt(value, new)
    except Exception:  # a type of the model's own may refuse in any way; it stays as it is
        return value


def _rebuilt(value: Any, children: Mapping[str, object]) -> Any:
    if isinstance(value, MutableMapping):
        changed = copy.copy(value)  # keeps the type of transformers' ModelOutput and its attributes
        for key in list(value):
            changed[key] = children[str(key)]
        return changed
    if isinstance(value, tuple):
        return _rebuilt_tuple(value, children)
    changed = copy.copy(value)
    if isinstance(value, list):
        changed[:] = children.values()
    elif dataclasses.is_dataclass(value):
        for name, child in children.items():
            object.__setattr__(changed, name, child)  # frozen ones too
    return changed


def _rebuilt_tuple(value: Any, children: Mapping[str, object]) -> Any:
    kind: Any = type(value)
    try:
        changed = tuple.__new__(kind, children.values())  # past a `__new__` of the type's own
    except TypeError:  # torch's own (of torch.max) refuse that and take one iterable
        return kind(children.values())
    vars_of = getattr(value, "__dict__", None)
    if vars_of:
        changed.__dict__.update(vars_of)
    return changed


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
