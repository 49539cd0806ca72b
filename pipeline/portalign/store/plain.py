"""Dataclasses to JSON data and back, strictly: what a file says must have the type a field names.

The side that is captured may run under an interpreter without pydantic, so this is written here for
the few shapes that facts use: str, int, float, bool, enums, ``X | None``, ``tuple[X, ...]``,
``dict[str, X]`` and dataclasses.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")
_PLAIN = (str, int, bool, float)


def to_json(value: object, *, indent: int | None = None) -> str:
    """JSON text of a slotted dataclass, compact unless `indent` is given; enums by value."""
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(value, default=_fields_of, separators=separators, indent=indent)


def parse(text: bytes) -> object:
    """JSON data of `text`; unlike `json.loads`, a key written twice in one object is refused.

    Raises:
        ValueError: not JSON, not UTF-8, a doubled key, or nested too deep.
    """
    try:
        data: object = json.loads(text.decode("utf-8"), object_pairs_hook=_no_doubles)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return data


def from_plain(kind: type[T], data: object) -> T:
    """The dataclass `kind` made from JSON data.

    A missing field takes its default; an unknown field is refused.

    Raises:
        ValueError: names the field that doesn't fit and what it holds.
    """
    return cast(T, _dataclass(kind, data, kind.__name__))


def _fields_of(value: Any) -> dict[str, object]:
    return {entry.name: getattr(value, entry.name) for entry in fields(value)}


def _no_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ValueError("a key is written twice in one object")
    return data


@lru_cache(maxsize=64)
def _hints(kind: type) -> dict[str, object]:
    return get_type_hints(kind)


@lru_cache(maxsize=64)
def _required(kind: type) -> frozenset[str]:
    return frozenset(
        entry.name
        for entry in fields(kind)
        if entry.default is MISSING and entry.default_factory is MISSING
    )


def _dataclass(kind: type, data: object, place: str) -> object:
    if not isinstance(data, dict):
        raise ValueError(f"{place} should be an object, is {_short(data)}")
    hints = _hints(kind)
    if unknown := data.keys() - hints.keys():
        raise ValueError(f"{place} has the unknown field {min(unknown)!r:.80}")
    if missing := _required(kind) - data.keys():
        raise ValueError(f"{place} lacks the field {min(missing)!r}")
    values = {}
    for name, item in data.items():
        hint = hints[name]
        is_plain = type(item) is hint and hint in _PLAIN
        values[name] = item if is_plain else _value(hint, item, f"{place}.{name}")
    made: object = kind(**values)
    return made


def _value(hint: object, data: object, place: str) -> object:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if data is None and NoneType in arguments:
            return None
        return _value(next(kind for kind in arguments if kind is not NoneType), data, place)
    if origin is tuple and isinstance(data, list):
        return tuple(_value(arguments[0], item, f"{place}[{i}]") for i, item in enumerate(data))
    if origin is dict and isinstance(data, dict):
        return {name: _value(arguments[1], item, f"{place}.{name}") for name, item in data.items()}
    if isinstance(hint, type) and is_dataclass(hint):
        return _dataclass(hint, data, place)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(data)
    if hint is float and type(data) is int:
        return float(data)
    if type(data) is hint:
        return data
    raise ValueError(f"{place} should be {getattr(hint, '__name__', hint)}, is {_short(data)}")


def _short(data: object) -> str:
    text = repr(data)
    return text if len(text) <= 60 else text[:57] + "..."
