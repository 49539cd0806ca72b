"""Frozen dataclasses to strict JSON, back again, and the JSON Schema that describes them.

All three walk the same type annotations, so a field that is added to `results` is written, read
and described without a line here. What is not finite is written as "nan", "inf" or "-inf".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
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
_AS_IT_IS = frozenset((str, int, bool, NoneType))
_PLAIN = {str: "string", bool: "boolean", int: "integer"}


def encode(value: object) -> Json:
    """Turn a value into JSON data that `json.dumps(..., allow_nan=False)` accepts.

    Numpy scalars become Python numbers, tuples become lists, paths and enums become strings.

    >>> encode((1, float("nan"), np.float32(0.5)))
    [1, 'nan', 0.5]

    Raises:
        TypeError: the value is none of these, an array for instance.
    """
    if type(value) in _AS_IT_IS:
        return value
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
        kind: Any = type(value)  # mypy takes no dataclass for hashable
        return {name: encode(getattr(value, name)) for name in _names(kind)}
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
    hint: Any = cls
    value: _T = _decoder(hint)(data)
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


class _Misfit(ValueError):
    """Data that doesn't fit; whoever holds it puts the place in front while it travels up."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said
        self.place = ""

    def at(self, place: str) -> _Misfit:
        self.place = f"{place}{self.place}"
        return self

    def __str__(self) -> str:
        return f"{self.place or 'the document'} {self.said}"


_Decoder = Callable[[Json], Any]


@cache
def _decoder(hint: Any) -> _Decoder:
    """The function that reads what `encode` made of a value with this annotation.

    A report holds a hundred thousand values of a few dozen annotations: each is looked at once.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        inner = _decoder(_without_none(hint))
        return lambda data: None if data is None else inner(data)
    if origin is tuple:
        return _tuple_decoder(_decoder(arguments[0]))
    if origin is dict:
        return _dict_decoder(_decoder(arguments[1]))
    if is_dataclass(hint):
        return _dataclass_decoder(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum_decoder(hint)
    if hint is float:
        return _decode_float
    return _plain_decoder(hint) if hint in _PLAIN else lambda data: data


def _tuple_decoder(inner: _Decoder) -> _Decoder:
    def decode_tuple(data: Json) -> Any:
        _expect(isinstance(data, list), "a list", data)
        return tuple(_each(inner, enumerate(data), "[{}]"))

    return decode_tuple


def _dict_decoder(inner: _Decoder) -> _Decoder:
    def decode_dict(data: Json) -> Any:
        _expect(isinstance(data, dict), "an object", data)
        return dict(zip(data, _each(inner, data.items(), ".{}"), strict=True))

    return decode_dict


def _each(inner: _Decoder, items: Iterable[tuple[Any, Json]], place: str) -> list[Any]:
    found = []
    for name, item in items:
        try:
            found.append(inner(item))
        except _Misfit as err:
            raise err.at(place.format(name)) from None
    return found


def _dataclass_decoder(cls: Any) -> _Decoder:
    inner = {name: _decoder(hint) for name, hint in _hints(cls).items()}
    names = set(inner)

    def decode_dataclass(data: Json) -> Any:
        _expect(isinstance(data, dict), f"an object ({cls.__name__})", data)
        if data.keys() != names:
            if missing := [name for name in inner if name not in data]:
                raise _Misfit(f"lacks {', '.join(missing)}")
            raise _Misfit(f"has unknown fields {', '.join(sorted(set(data) - names))}")
        values = {}
        for name, read in inner.items():
            try:
                values[name] = read(data[name])
            except _Misfit as err:
                raise err.at(f".{name}") from None
        return cls(**values)

    return decode_dataclass


def _enum_decoder(cls: type[Enum]) -> _Decoder:
    known = {member.value: member for member in cls}
    expected = f"one of {', '.join(map(str, known))}"

    def decode_enum(data: Json) -> Any:
        _expect(isinstance(data, str | int) and data in known, expected, data)
        return known[data]

    return decode_enum


def _decode_float(data: Json) -> float:
    if type(data) is float:
        return data
    if isinstance(data, str) and data in _NOT_FINITE:
        return _NOT_FINITE[data]
    _expect(isinstance(data, int | float) and not isinstance(data, bool), "a number", data)
    return float(data)


def _plain_decoder(hint: type) -> _Decoder:
    def decode_plain(data: Json) -> Any:
        fits = isinstance(data, hint) and (hint is bool or not isinstance(data, bool))
        _expect(fits, _PLAIN[hint], data)
        return data

    return decode_plain


def _expect(fits: bool, expected: str, data: Json) -> None:
    if not fits:
        shown = repr(data)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        raise _Misfit(f"is {shown}, expected {expected}")


@cache
def _names(cls: Any) -> tuple[str, ...]:
    return tuple(item.name for item in fields(cls))


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
