"""An unpickler that can make numpy arrays, numbers, dicts, lists and tuples, and nothing else.

It never meets a numpy type: every global that a pickle may name is answered by an inert stand-in
that checks its arguments. So neither a callable nor a crafted dtype state (a dtype that hides its
object fields makes numpy follow bytes of the file as pointers) gets anywhere.
"""

from __future__ import annotations

import math
import mmap
import pickle
import re
from collections.abc import Callable
from typing import IO, Any, ClassVar, final

import numpy as np

from portalign.errors import InputError
from portalign.records import Array

_DTYPE = re.compile(r"[<>|=]?([biufc][0-9]{1,2}|O[48]?)")
_ML_DTYPES = ("bfloat16", "float8_e4m3fn", "float8_e5m2")
_OPCODES = (
    *("PROTO", "STOP", "MARK", "POP", "POP_MARK", "DUP", "NONE", "NEWTRUE", "NEWFALSE"),
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    "SHORT_BINBYTES",
    *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_DICT"),
    *("GET", "BINGET", "LONG_BINGET", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"),
    *("GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"),
)


_DISPATCH: dict[int, Callable[[Any], None]] = pickle._Unpickler.dispatch


@final
class Unpickler(pickle._Unpickler):
    """Python's own unpickler written in Python, for its C twin can be crashed from a file.

    Hashing a tuple nested a million deep overflows the C stack, and one memo index allocates 64 GB;
    here the memo is a dict, and names are checked before they are hashed. Of the opcodes only those
    that numpy's arrays and plain containers need are left.

    Args:
        file: an open file, or a read-only map, whose long byte strings then stay where they are:
            what is rebuilt from them are views of the map.
    """

    stack: list[object]
    append: Callable[[object], None]
    read: Callable[[int], bytes]
    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        code: _DISPATCH[code] for code in (getattr(pickle, name)[0] for name in _OPCODES)
    }

    def __init__(self, file: IO[bytes] | mmap.mmap) -> None:
        super().__init__(file)
        self._map = file if isinstance(file, mmap.mmap) else None

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

    def _check_dict(self) -> None:
        _check_names(self.stack[::2])
        _DISPATCH[pickle.DICT[0]](self)

    def _check_item(self) -> None:
        _check_names(self.stack[-2:-1])
        _DISPATCH[pickle.SETITEM[0]](self)

    def _check_items(self) -> None:
        _check_names(self.stack[::2])
        _DISPATCH[pickle.SETITEMS[0]](self)

    def _skip_frame(self) -> None:
        """A frame only says how much to read ahead, and may promise anything."""
        self.read(8)

    def _take_short(self) -> None:
        self._take_bytes(int.from_bytes(self.read(4), "little"))

    def _take_long(self) -> None:
        """Also for a bytearray, which would be allocated before a byte of it was seen."""
        self._take_bytes(int.from_bytes(self.read(8), "little"))

    def _take_bytes(self, n_bytes: int) -> None:
        if self._map is None or n_bytes < mmap.PAGESIZE:
            self.append(self.read(n_bytes))
            return
        begin = self._map.tell()
        piece = memoryview(self._map)[begin : begin + n_bytes]
        self._map.seek(begin + piece.nbytes)
        self.append(piece)

    dispatch[pickle.DICT[0]] = _check_dict
    dispatch[pickle.SETITEM[0]] = _check_item
    dispatch[pickle.SETITEMS[0]] = _check_items
    dispatch[pickle.FRAME[0]] = _skip_frame
    dispatch[pickle.BINBYTES[0]] = _take_short
    dispatch[pickle.BINBYTES8[0]] = _take_long
    dispatch[pickle.BYTEARRAY8[0]] = _take_long


def _check_names(names: list[object]) -> None:
    for name in names:
        if not isinstance(name, (str, int)):
            raise ValueError(f"a dict has a {type(name).__name__} for a name")


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
class Rebuilt:
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
    if not isinstance(data, (bytes, memoryview)) or not isinstance(dtype, _Dtype):
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


def _make_array(*_: object) -> Rebuilt:
    return Rebuilt()


def _make_scalar(dtype: object, data: object) -> Rebuilt:
    return Rebuilt(_from_bytes(data, dtype, (), is_fortran=False))


def _make_from_buffer(
    data: object, dtype: object, shape: object, order: object, axes: object = None
) -> Rebuilt:
    array = _from_bytes(data, dtype, shape, is_fortran=order == "F")
    # numpy 2.3 writes a transposed array with order "K" and its axes
    return Rebuilt(array.transpose(axes) if isinstance(axes, tuple) else array)


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
