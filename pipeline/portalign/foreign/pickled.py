"""What numpy pickled, rebuilt by our own hands: arrays and numbers in dicts, lists and tuples.

The unpickler never meets a numpy type: every global that a pickle may name is answered by an inert
stand-in that checks its arguments. So neither a callable nor a crafted dtype state (a dtype that
hides its object fields makes numpy follow bytes of the file as pointers) gets anywhere.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable
from typing import IO, Any, final

import numpy as np

from portalign.errors import InputError
from portalign.records import Array

_MAX_ENTRIES = 1_000_000  # a pickle of a few hundred bytes can pretend to hold any number
_MAX_DEPTH = 32
_DTYPE = re.compile(r"[<>|=]?([biufc][0-9]{1,2}|O[48]?)")
_ML_DTYPES = ("bfloat16", "float8_e4m3fn", "float8_e5m2")


def read(file: IO[bytes], *, name: str, is_prefixed: bool) -> dict[str, Array]:
    """The arrays of a pickle, read from where `file` stands.

    Args:
        name: of the array, if one is all there is, and of the items of a list ("name.0").
        is_prefixed: put `name` before the names in a dict, too.

    Returns:
        Read-only arrays in order, by dotted name; numbers and lists of numbers become arrays.

    Raises:
        InputError: the pickle names a global it may not; the message says which.
        ValueError: it is damaged, or holds something that is no array.
    """
    try:
        content = _Unpickler(file).load()
    except InputError:
        raise
    except Exception as err:  # a hostile pickle can raise anything
        raise ValueError(f"its pickle is broken: {type(err).__name__}: {str(err)[:200]}") from err
    if isinstance(content, _Rebuilt) and isinstance(content.content, dict):
        content = content.content
    return _flatten(content, name=name if is_prefixed or not isinstance(content, dict) else "")


@final
class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module == "ml_dtypes" and name in _ML_DTYPES:
            import ml_dtypes  # only where such a dtype appears

            return _Dtype(np.dtype(getattr(ml_dtypes, name)))
        make = _ADMITTED.get((module, name))
        if make is None:
            raise InputError(
                f"its pickle asks for {module}.{name}"[:200],
                why="to rebuild that would run code chosen by whoever made the file; "
                "only numpy arrays in dicts, lists and tuples are read",
                do="ask for the arrays as .npz or .safetensors, "
                "or save them again as plain numpy arrays (tensor.numpy())",
            )
        return _StandIn(make)

    def persistent_load(self, pid: object) -> Any:
        raise ValueError("it refers to something outside the file")


@final
class _StandIn:
    """In place of a callable. It is no type, so all a pickle can do with it is to call it."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., object]) -> None:
        self._make = make

    def __call__(self, *args: object) -> object:
        return self._make(*args)

    def __setstate__(self, state: object) -> None:
        raise ValueError("it changes what isn't its own")


@final
class _Dtype:
    """In place of a numpy dtype."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype

    def __setstate__(self, state: object) -> None:
        """Take the byte order of a pickled dtype state; refuse fields and subarrays."""
        if not isinstance(state, tuple) or len(state) < 5 or state[2:5] != (None, None, None):
            raise ValueError("a dtype has fields")
        has_order = self.dtype.kind in "iufc" and self.dtype.name not in _ML_DTYPES
        if has_order and state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


@final
class _Rebuilt:
    """In place of a numpy array or scalar.

    Attributes:
        content: the array; for an array of objects the list of them, or the object itself if 0-d.
    """

    __slots__ = ("content",)

    def __init__(self, content: object = None) -> None:
        self.content = content

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise ValueError("an array has no proper state")
        _, shape, dtype, is_fortran, data = state
        if isinstance(dtype, _Dtype) and dtype.dtype.kind == "O":
            self.content = _objects(shape, data)
        else:
            self.content = _from_bytes(data, dtype, shape, is_fortran=is_fortran is True)


def _objects(shape: object, data: object) -> object:
    if shape == () and isinstance(data, list) and len(data) == 1:
        return data[0]
    if isinstance(data, list) and shape == (len(data),):
        return data
    raise ValueError("an array of objects isn't one-dimensional")


def _from_bytes(data: object, dtype: object, shape: object, *, is_fortran: bool) -> Array:
    if not isinstance(data, (bytes, bytearray)) or not isinstance(dtype, _Dtype):
        raise ValueError("an array isn't made of bytes and a dtype")
    if dtype.dtype.kind == "O":
        raise ValueError("objects are to be read from bytes")
    if not isinstance(shape, tuple) or any(type(size) is not int or size < 0 for size in shape):
        raise ValueError("an array has no proper shape")
    if math.prod(shape) * dtype.dtype.itemsize != len(data):
        raise ValueError(f"an array of shape {str(shape)[:80]} has {len(data)} bytes")
    array = np.frombuffer(data, np.uint8).view(dtype.dtype)
    return array.reshape(shape, order="F" if is_fortran else "C")


def _make_dtype(code: object, *_: object) -> _Dtype:
    if isinstance(code, _Dtype):
        return _Dtype(code.dtype)
    if not isinstance(code, str) or not _DTYPE.fullmatch(code):
        raise ValueError(f"dtype {code!r:.40} is not numeric")
    dtype = np.dtype(code)
    if dtype.kind not in "biufcO":  # numpy reads "c1" as a string
        raise ValueError(f"dtype {code!r:.40} is not numeric")
    return _Dtype(dtype)


def _make_array(*_: object) -> _Rebuilt:
    return _Rebuilt()


def _make_scalar(dtype: object, data: object) -> _Rebuilt:
    return _Rebuilt(_from_bytes(data, dtype, (), is_fortran=False))


def _make_from_buffer(
    data: object, dtype: object, shape: object, order: object, axes: object = None
) -> _Rebuilt:
    array = _from_bytes(data, dtype, shape, is_fortran=order == "F")
    # numpy 2.3 writes a transposed array with order "K" and its axes
    return _Rebuilt(array.transpose(axes) if isinstance(axes, tuple) else array)


def _make_bytes(text: object = "", encoding: object = "latin1") -> bytes:
    """What pickles before protocol 3 call to hold bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise ValueError("bytes aren't written as latin1")
    return text.encode("latin1")


def _make_nothing(*_: object) -> object:
    raise ValueError("an array is made by calling its type")


_ADMITTED: dict[tuple[str, str], Callable[..., object]] = {
    ("numpy", "ndarray"): _make_nothing,  # only ever an argument
    ("numpy", "dtype"): _make_dtype,
    ("_codecs", "encode"): _make_bytes,
    ("builtins", "bytes"): _make_bytes,
    ("__builtin__", "bytes"): _make_bytes,
    **{
        (f"numpy.{core}.{module}", name): make
        for core in ("core", "_core")  # before and since numpy 2
        for module, name, make in (
            ("multiarray", "_reconstruct", _make_array),
            ("multiarray", "scalar", _make_scalar),
            ("numeric", "_frombuffer", _make_from_buffer),
        )
    },
}


def _flatten(content: object, *, name: str) -> dict[str, Array]:
    """Arrays by dotted name, depth first; no recursion, for a stranger chose the depth."""
    arrays: dict[str, Array] = {}
    waiting: list[tuple[str, object, int]] = [(name, content, 0)]
    n_entries = 0
    while waiting:
        place, value, depth = waiting.pop()
        n_entries += len(value) if isinstance(value, (dict, list, tuple)) else 1
        if n_entries > _MAX_ENTRIES or depth > _MAX_DEPTH:
            raise ValueError("it holds too much, or holds itself")
        if isinstance(value, _Rebuilt):
            waiting.append((place, value.content, depth + 1))
        elif isinstance(value, (dict, list, tuple)) and not _is_numbers(value):
            below = [(inner, item, depth + 1) for inner, item in _below(place, value)]
            waiting.extend(reversed(below))
        elif place in arrays:
            raise ValueError(f"it holds {place!r:.80} twice")
        else:
            arrays[place] = _leaf(place, value)
    return arrays


def _below(
    place: str, value: dict[object, object] | list[object] | tuple[object, ...]
) -> list[tuple[str, object]]:
    if not value and place:
        raise ValueError(f"{place!r:.80} is an empty dict")
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [(_joined(place, key), item) for key, item in items]


def _joined(place: str, key: object) -> str:
    if not isinstance(key, (str, int)):
        raise ValueError(f"{place or 'its dict'!r:.80} has a {type(key).__name__} for a name")
    return f"{place}.{key}" if place else str(key)


def _is_numbers(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(_is_number(item) for item in value)


def _is_number(value: object) -> bool:
    return isinstance(value, (bool, int, float, complex))


def _leaf(place: str, value: object) -> Array:
    if not isinstance(value, np.ndarray) and not _is_number(value) and not _is_numbers(value):
        what = "None" if value is None else f"a {type(value).__name__.strip('_')}"
        raise ValueError(f"{place!r:.80} is {what}, not an array")
    array: Array = np.asarray(value)
    if array.dtype.kind == "O":
        raise ValueError(f"{place!r:.80} has integers beyond 64 bits")
    array.flags.writeable = False
    return array
