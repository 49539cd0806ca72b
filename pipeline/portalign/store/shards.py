"""Safetensors files: bytes of arrays out, read-only memory maps in.

Written here and not by the safetensors package for three reasons: a full disk must arrive as the
`OSError` it is, a large array must reach the file without another copy, and a side's interpreter
may hold any version of the package while the bytes must not depend on it. Reading trusts nothing:
every header is checked against the length of its file before a byte of it is mapped.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from portalign.records import Array
from portalign.store import plain
from portalign.store.pages import map_file

MAX_HEADER_BYTES = 100_000_000  # the limit of the safetensors format itself
_MAX_DIMENSIONS = 32  # numpy 1.x can hold no more

_NUMPY = {
    "BOOL": "|b1", "U8": "|u1", "I8": "|i1", "U16": "<u2", "I16": "<i2", "U32": "<u4",
    "I32": "<i4", "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
    "C64": "<c8",
}  # fmt: skip
_ML_DTYPES = {"BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
_NAMES = {code[1:]: name for name, code in _NUMPY.items()}
_ML_NAMES = {code: name for name, code in _ML_DTYPES.items()}


class ShardError(Exception):
    """What is wrong with a file, in words; the caller adds why it matters and what to do.

    Attributes:
        is_cut_off: the file is missing or shorter than it says, as after a crash; nothing else is
            wrong with it as far as one can tell.
    """

    def __init__(self, found: str, *, is_cut_off: bool = False) -> None:
        super().__init__(found)
        self.is_cut_off = is_cut_off


def dtype_name(dtype: np.dtype[np.generic]) -> str | None:
    """The safetensors name of a dtype ("F32", "BF16") in any byte order; None if it has none."""
    if dtype.fields is not None or dtype.subdtype is not None:
        return None
    return _ML_NAMES.get(dtype.name) or _NAMES.get(f"{dtype.kind}{dtype.itemsize}")


def can_hold(dtype: np.dtype[np.generic]) -> bool:
    """Whether arrays of this dtype can be recorded; complex128 and texts for example can't."""
    return dtype_name(dtype) is not None


def little_endian(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    """The same dtype with the byte order of the file."""
    return dtype if dtype.name in _ML_NAMES else dtype.newbyteorder("<")


def chunks(array: Array, *, chunk_bytes: int) -> Iterator[Array]:
    """The bytes of an array in C order and little endian, as uint8 arrays.

    A contiguous array is one view of itself; any other is copied in pieces of about `chunk_bytes`.
    """
    if array.size == 0:
        return
    dtype = little_endian(array.dtype)
    is_ready = array.flags.c_contiguous and dtype == array.dtype
    if is_ready or array.nbytes <= chunk_bytes or array.ndim == 0:
        yield np.ascontiguousarray(array, dtype=dtype).reshape(-1).view(np.uint8)
        return
    n_rows = max(1, chunk_bytes * len(array) // array.nbytes)
    if n_rows == 1:
        for row in array:
            yield from chunks(np.asarray(row), chunk_bytes=chunk_bytes)
        return
    for start in range(0, len(array), n_rows):
        yield from chunks(array[start : start + n_rows], chunk_bytes=chunk_bytes)


def write_shard(file: BinaryIO, arrays: Mapping[str, Array], *, chunk_bytes: int) -> None:
    """Write arrays as one safetensors file, the widest items first so that all are aligned.

    Raises:
        OSError: the disk is full or the file can't be written.
    """
    ordered = sorted(arrays, key=lambda name: -arrays[name].dtype.itemsize)
    header: dict[str, object] = {}
    end = 0
    for name in ordered:
        array = arrays[name]
        begin, end = end, end + array.nbytes
        header[name] = {
            "dtype": dtype_name(array.dtype),
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in ordered:
        for piece in chunks(arrays[name], chunk_bytes=chunk_bytes):
            file.write(piece.data)


def map_shard(path: Path) -> dict[str, Array]:
    """Read-only views into one memory map of a safetensors file, by name.

    Raises:
        ShardError: not a plain file, or not a whole and sound safetensors file.
    """
    with open_plain(path) as file:
        n_file = os.fstat(file.fileno()).st_size
        n_header = int.from_bytes(file.read(8), "little") if n_file >= 8 else 0
        if n_file < 8:
            raise ShardError(f"{path.name} has {n_file} bytes, a header needs 8", is_cut_off=True)
        if n_header > MAX_HEADER_BYTES:
            raise ShardError(f"{path.name} names a header of {n_header} bytes")
        if 8 + n_header > n_file:
            raise ShardError(
                f"{path.name} has {n_file} bytes, its header alone needs {8 + n_header}",
                is_cut_off=True,
            )
        try:
            header = plain.parse(file.read(n_header))
            entries = [_entry(name, entry) for name, entry in _items(header)]
        except ValueError as err:
            raise ShardError(f"{path.name} has a broken header: {err}") from err
        _check_extent(path.name, entries, n_data=n_file - 8 - n_header)
        bytes_of = np.frombuffer(map_file(file), np.uint8)[8 + n_header :]
    return {
        name: bytes_of[begin:end].view(dtype).reshape(shape)
        for name, dtype, shape, begin, end in entries
    }


def open_plain(path: Path) -> BinaryIO:
    """Open a regular file for reading; a link, a pipe or a device is refused before it is opened.

    Raises:
        ShardError: it isn't there, isn't a regular file or can't be read.
    """
    try:
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode):
            raise ShardError(
                f"{path.name} is {'a link' if stat.S_ISLNK(mode) else 'no plain file'}"
            )
        return path.open("rb")
    except FileNotFoundError as err:
        raise ShardError(f"{path.name} is missing", is_cut_off=True) from err
    except OSError as err:
        raise ShardError(f"{path.name} can't be read: {err.strerror}") from err


_Entry = tuple[str, np.dtype[np.generic], tuple[int, ...], int, int]


def _items(header: object) -> list[tuple[str, object]]:
    if not isinstance(header, dict):
        raise ValueError("it is no JSON object")
    return [(name, entry) for name, entry in header.items() if name != "__metadata__"]


def _entry(name: str, entry: object) -> _Entry:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name!r:.80} is no tensor description")
    shape, offsets = _naturals(entry["shape"]), _naturals(entry["data_offsets"])
    if shape is None or len(shape) > _MAX_DIMENSIONS or offsets is None or len(offsets) != 2:
        raise ValueError(f"{name!r:.80} has an impossible shape or offsets")
    dtype = _dtype(entry["dtype"])
    n_bytes = math.prod(shape) * dtype.itemsize
    if offsets[1] - offsets[0] != n_bytes or max(shape, default=0) >= 2**48:
        raise ValueError(
            f"{name!r:.80}, {entry['dtype']} of shape {list(shape)}, needs {n_bytes} bytes, "
            f"its offsets {list(offsets)} hold {offsets[1] - offsets[0]}"
        )
    return name, dtype, shape, *offsets


def _naturals(data: object) -> tuple[int, ...] | None:
    if not isinstance(data, list) or any(type(item) is not int or item < 0 for item in data):
        return None
    return tuple(data)


def _dtype(name: object) -> np.dtype[np.generic]:
    if isinstance(name, str) and name in _NUMPY:
        return np.dtype(_NUMPY[name])
    if isinstance(name, str) and name in _ML_DTYPES:
        import ml_dtypes  # only where such a dtype appears: a side may do without the package

        dtype: np.dtype[np.generic] = np.dtype(getattr(ml_dtypes, _ML_DTYPES[name]))
        return dtype
    raise ValueError(f"dtype {name!r:.40} is unknown")


def _check_extent(file_name: str, entries: list[_Entry], *, n_data: int) -> None:
    """The tensors must fill the data exactly: no hole, no overlap, nothing beyond the end."""
    end = 0
    for name, _, _, begin, next_end in sorted(entries, key=lambda entry: entry[3:]):
        if begin != end:
            what = "overlaps another" if begin < end else "leaves a hole before it"
            raise ShardError(f"{file_name}: tensor {name!r:.80} {what}, at byte {begin}")
        end = next_end
    if end != n_data:
        raise ShardError(
            f"{file_name} holds {n_data} bytes of data, its header promises {end}",
            is_cut_off=end > n_data,
        )
