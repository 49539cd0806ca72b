"""Windows that a model's settings speak of: how many places an attention may see.

Read from plain attributes and configurations, never from code: a window that is written into a
function isn't found.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import reduce

from portalign.frameworks.base import Model
from portalign.records import Structure

FLAG = "windows"  # of a side's flags: "config.sliding_window=4096, ..."
_NAMED = 4
_DEEPEST = 2  # a configuration may hold the one of its text model


def windows(model: Model, structure: Structure) -> str:
    """Name and number of every window, each number once; "" where nothing speaks of one."""
    found: dict[int, str] = {}
    for path in (module.path for module in structure.modules):
        module = reduce(getattr, path.split("."), model) if path else model
        for name, n_places in _of(vars(module), 0):
            found.setdefault(n_places, f"{path}.{name}" if path else name)
    return ", ".join(f"{name}={n}" for n, name in sorted(found.items())[:_NAMED])


def _of(attributes: dict[str, object], depth: int) -> Iterator[tuple[str, int]]:
    for name, value in attributes.items():
        if type(value) is int:
            if "window" in name.lower() and "layer" not in name.lower() and value > 1:
                yield name, value
        elif depth < _DEEPEST and _is_configuration(value):
            inner = _attributes(value)
            yield from ((f"{name}.{below}", n) for below, n in _of(inner, depth + 1))


def _is_configuration(value: object) -> bool:
    is_data = dataclasses.is_dataclass(value) and not isinstance(value, type)
    return is_data or "config" in type(value).__name__.lower()


def _attributes(value: object) -> dict[str, object]:
    own = dict(getattr(value, "__dict__", {}))
    if dataclasses.is_dataclass(value):  # one with slots has no `__dict__`
        own |= {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    return own
