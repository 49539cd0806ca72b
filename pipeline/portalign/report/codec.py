"""Frozen dataclasses to strict JSON, back again, and the JSON Schema that describes them.

All three walk the same type annotations, so a field that is added to `results` is written, read
and described without a line here. What is not finite is written as "nan", "inf" or "-inf".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

Json = Any  # JSON data: what `json.loads` returns
_T = TypeVar("_T")
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_PLAIN = {str: "string", bool: "boolean", int: "integer"}


def encode(value: object) -> Json:
    """Turn a value into JSON data that `json.dumps(..., allow_nan=False)` accepts.

    Numpy scalars become Python numbers, tuples become lists, paths and enums become strings.

    >>> encode((1, float("nan"), np.float32(0.5)))
    [1, 'nan', 0.5]

    Raises:
        TypeError: the value is none of these, an array for instance.
    """
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.generic):
        return encode(value.item())
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, PurePath):
        return str(value)
    if is_dataclass(value):
        return {item.name: encode(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    raise TypeError(f"a {type(value).__name__} has no place in a report")


def decode(data: Json, cls: type[_T]) -> _T:
    """Rebuild a dataclass from what `encode` made of it.

    A field annotated ``object`` comes back as plain JSON: its tuples are lists and its infinities
    are strings. Everything else comes back as it was.

    Raises:
        ValueError: the data doesn't fit; the message names the place and what was expected.
    """
    value: _T = _decode(data, cls, "")
    return value


def schema(cls: type, *, title: str) -> dict[str, Json]:
    """Return the JSON Schema (draft 2020-12) of what `encode` writes for `cls`.

    Args:
        cls: a dataclass.
        title: what the schema calls the document.
    """
    definitions = {
        found.__name__: _definition(found)
        for found in sorted(set(_reachable(cls)), key=lambda found: found.__name__)
    }
    number = {"anyOf": [{"type": "number"}, {"enum": list(_NOT_FINITE)}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "$ref": f"#/$defs/{cls.__name__}",
        "$defs": {**definitions, "number": number},
    }


def _decode(data: Json, hint: Any, place: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return None if data is None else _decode(data, _without_none(hint), place)
    if origin is tuple:
        _expect(isinstance(data, list), place, "a list", data)
        return tuple(_decode(item, arguments[0], f"{place}[{i}]") for i, item in enumerate(data))
    if origin is dict:
        _expect(isinstance(data, dict), place, "an object", data)
        return {key: _decode(item, arguments[1], f"{place}.{key}") for key, item in data.items()}
    if is_dataclass(hint):
        return _decode_dataclass(data, hint, place)
    if isinstance(hint, type) and issubclass(hint, Enum):
        known = [member.value for member in hint]
        _expect(data in known, place, f"one of {', '.join(map(str, known))}", data)
        return hint(data)
    if hint is float:
        is_number = isinstance(data, int | float) and not isinstance(data, bool)
        is_named = isinstance(data, str) and data in _NOT_FINITE
        _expect(is_number or is_named, place, "a number", data)
        return _NOT_FINITE[data] if is_named else float(data)
    if hint in _PLAIN:
        fits = isinstance(data, hint) and (hint is bool or not isinstance(data, bool))
        _expect(fits, place, _PLAIN[hint], data)
    return data


def _decode_dataclass(data: Json, cls: Any, place: str) -> Any:
    _expect(isinstance(data, dict), place, f"an object ({cls.__name__})", data)
    hints: dict[str, Any] = _hints(cls)
    if missing := [name for name in hints if name not in data]:
        raise ValueError(f"{place or 'the document'} lacks {', '.join(missing)}")
    if unknown := sorted(set(data) - set(hints)):
        raise ValueError(f"{place or 'the document'} has unknown fields {', '.join(unknown)}")
    return cls(
        **{name: _decode(data[name], hint, f"{place}.{name}") for name, hint in hints.items()}
    )


def _expect(fits: bool, place: str, expected: str, data: Json) -> None:
    if not fits:
        shown = repr(data)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        raise ValueError(f"{place or 'the document'} is {shown}, expected {expected}")


@cache
def _hints(cls: Any) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {item.name: hints[item.name] for item in fields(cls)}


def _without_none(hint: Any) -> Any:
    (only,) = (part for part in get_args(hint) if part is not NoneType)
    return only


def _reachable(hint: Any) -> Iterator[type]:
    """Every dataclass and enum that a value of this annotation can hold; none is recursive."""
    if is_dataclass(hint) and isinstance(hint, type):
        yield hint
        for inner in _hints(hint).values():
            yield from _reachable(inner)
    elif isinstance(hint, type) and issubclass(hint, Enum):
        yield hint
    for part in get_args(hint):
        yield from _reachable(part)


def _definition(cls: Any) -> dict[str, Json]:
    summary = (cls.__doc__ or "").strip().partition("\n")[0]
    if issubclass(cls, Enum):
        return {"description": summary, "enum": [member.value for member in cls]}
    hints = _hints(cls)
    return {
        "description": summary,
        "type": "object",
        "properties": {name: _described(hint) for name, hint in hints.items()},
        "required": list(hints),
        "additionalProperties": False,
    }


def _described(hint: Any) -> dict[str, Json]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return {"anyOf": [_described(_without_none(hint)), {"type": "null"}]}
    if origin is tuple:
        return {"type": "array", "items": _described(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _described(arguments[1])}
    if hint is float:
        return {"$ref": "#/$defs/number"}
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if isinstance(hint, type) and (is_dataclass(hint) or issubclass(hint, Enum)):
        return {"$ref": f"#/$defs/{hint.__name__}"}
    return {}
