"""Any attribute of a module as text that is the same in every process: no address, no weight.

Settings hide in containers, configurations and functions as much as in numbers. What can't be told
apart without its values (a tensor, an open file) is told by its class.
"""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from functools import partial
from pathlib import PurePath
from types import CodeType, FunctionType, MethodType, SimpleNamespace

import numpy as np

_DEEPEST = 6  # of nested values; configurations hold configurations, hardly more
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...), range, slice, PurePath)
_NAMED = ("dtype", "DataType", "VarType", "device", "layout", "memory_format", "Place", "CPUPlace")


def described(value: object, depth: int = 0) -> str:
    """A text that differs where two settings differ.

    Args:
        value: anything. Containers, functions, classes and objects with attributes are told in
            full, down to six levels; NaN is like any number.

    >>> described((1, None)) == described((1, None)), described((1, 1)) == described((3, 3))
    (True, False)
    """
    if isinstance(value, Enum):
        return f"{_name(type(value))}.{value.name}"
    if isinstance(value, (*_PLAIN, np.generic, np.dtype)):
        return repr(value)
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return f"array {value.dtype} {value.shape} {digest}"
    if depth == _DEEPEST:
        return _name(type(value))
    return f"{_name(type(value))}({', '.join(_parts(value, depth + 1))})"


def _parts(value: object, depth: int) -> Iterator[str]:
    """What tells a value from others of its class."""
    if isinstance(value, Mapping):
        yield from sorted(f"{described(k, depth)}: {described(v, depth)}" for k, v in value.items())
    elif isinstance(value, list | tuple):
        yield from (described(item, depth) for item in value)
    elif isinstance(value, AbstractSet):
        yield from sorted(described(item, depth) for item in value)
    elif isinstance(value, FunctionType):
        yield from _function(value, depth)
    elif isinstance(value, MethodType):  # its object is told elsewhere, or is the module itself
        yield from (_name(type(value.__self__)), described(value.__func__, depth))
    elif isinstance(value, partial):
        yield from (described(item, depth) for item in (value.func, value.args, value.keywords))
    elif isinstance(value, type) or _is_builtin(value):
        yield _name(value)
    else:
        yield from _object(value, depth)


def _object(value: object, depth: int) -> Iterator[str]:
    kind = type(value)
    package = kind.__module__.partition(".")[0]
    if kind.__name__ in _NAMED and package in ("torch", "paddle"):
        yield repr(value)
        return
    entries = dict(getattr(value, "__dict__", {}))
    if package in ("torch", "paddle") and "training" not in entries:  # tensors and the like
        return
    if package in sys.stdlib_module_names and kind is not SimpleNamespace:  # loggers, locks, files
        return
    if dataclasses.is_dataclass(value):  # one with slots has no `__dict__`
        entries |= {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    yield from sorted(f"{name}={described(item, depth)}" for name, item in entries.items())


def _function(function: FunctionType, depth: int) -> Iterator[str]:
    yield _name(function)
    yield _code(function.__code__)
    yield described(function.__defaults__, depth)
    yield described(function.__kwdefaults__, depth)
    for cell in function.__closure__ or ():
        try:
            yield described(cell.cell_contents, depth)
        except ValueError:  # not filled yet
            yield "empty"


def _code(code: CodeType) -> str:
    """What a function does, wherever its file lies."""
    consts = [_code(c) if isinstance(c, CodeType) else described(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {consts}"


def _is_builtin(value: object) -> bool:
    return callable(value) and isinstance(getattr(value, "__qualname__", None), str)


def _name(value: object) -> str:
    """Module and qualified name of a class or function."""
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
