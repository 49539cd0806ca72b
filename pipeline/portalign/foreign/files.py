"""Named arrays out of a file or folder, by what it is: one small reader per format.

Plain data is memory-mapped after its header was checked against the file's length; what numpy
pickled goes through `portalign.foreign.pickled`; numpy itself never loads anything here.
"""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Literal

import numpy as np

from portalign.errors import InputError, TraceError
from portalign.foreign import pickled
from portalign.records import Array, Precision
from portalign.store import layout, read_trace, shards
from portalign.store.pages import FileMap, map_file

_Order = Literal["C", "F"]
_MAX_DIMENSIONS = 32  # numpy 1.x can hold no more
_NUMERIC = "biufc"
_READABLE = (
    "a reprod_log dump or numpy file (.npy, .npz), a .safetensors file, a folder of .npy files or "
    "a trace folder"
)
_DAMAGED = (
    shards.ShardError,
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    OSError,
    EOFError,
    MemoryError,
    ArithmeticError,  # an integer too large for a float
    RuntimeError,  # an encrypted member, or a compression that this Python lacks
)


def read_arrays(path: Path) -> dict[str, Array]:
    """Read every array of a file or folder, by name; nothing in it is executed.

    Args:
        path: one of
            a trace folder (names are keys as text, native precision only);
            a ``.npy`` file with a pickled dict, as reprod_log writes (nested dicts and lists give
            dotted names), or with one plain array (named by the file);
            a ``.npz`` file; a ``.safetensors`` file; a folder of ``.npy`` files.

    Returns:
        Read-only arrays of numeric dtypes, 0-d and empty ones included, in the order of the file;
        memory-mapped except what was compressed, pickled in a zip, or pickled before protocol 3.
        NaN is passed on.

    Raises:
        InputError: it isn't there, holds no arrays, is none of these, is damaged, or holds a pickle
            that wants anything but arrays.
    """
    try:
        arrays = _reader(path)(path)
    except InputError as err:
        err.within(str(path))
        raise
    except TraceError as err:
        raise InputError(err.found, why=err.why, do=err.do).within(str(path)) from err
    except _DAMAGED as err:
        raise InputError(
            f"can't be read: {str(err) or type(err).__name__}",
            why="arrays that can't be read can't be compared",
            do="save or send it again",
        ).within(str(path)) from err
    if not arrays:
        raise InputError(
            "holds no arrays",
            why="nothing compared proves nothing",
            do="check that the run that wrote it recorded something",
        ).within(str(path))
    return arrays


def _reader(path: Path) -> Callable[[Path], dict[str, Array]]:
    if path.is_dir():
        is_trace = any((path / name).exists() for name in (layout.RECORDS, layout.MANIFEST))
        return _trace if is_trace else _folder
    readers = {".npy": _npy, ".npz": _npz, ".safetensors": _safetensors}
    if path.is_file() and path.suffix.lower() in readers:
        return readers[path.suffix.lower()]
    if path.exists():
        raise InputError(
            f"is {'of an unknown kind' if path.is_file() else 'no plain file'}",
            why=f"arrays are read from {_READABLE}",
            do="save the arrays in one of these",
        )
    raise InputError("does not exist", why="there is nothing to read", do="correct the path")


def _trace(folder: Path) -> dict[str, Array]:
    trace = read_trace(folder)
    if not trace.is_complete:
        raise InputError(
            f"the trace stops after {len(trace.records)} records and has no {layout.MANIFEST}",
            why="its capture was cut off, and what is missing can't be compared",
            do="capture that side again",
        )
    return _unique(
        (str(record.key), record.array)
        for record in trace.records
        if record.key.precision is Precision.NATIVE
    )


def _folder(folder: Path) -> dict[str, Array]:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".npy")
    if not all(path.is_file() for path in files):
        raise ValueError("it holds a .npy that is no plain file")
    return _unique(item for path in files for item in _npy(path, is_prefixed=True).items())


def _npy(path: Path, *, is_prefixed: bool = False) -> dict[str, Array]:
    with path.open("rb") as file:
        shape, order, dtype = _npy_header(file)
        if dtype.kind == "O":
            mapped = map_file(file)
            mapped.seek(file.tell())
            return pickled.read(mapped, name=path.stem, is_prefixed=is_prefixed)
        begin, n_bytes = file.tell(), math.prod(shape) * dtype.itemsize
        n_file = os.fstat(file.fileno()).st_size
        if begin + n_bytes > n_file:
            raise ValueError(
                f"{path.name} promises {n_bytes} bytes for shape {list(shape)}, "
                f"{n_file - begin} are there"
            )
        raw = np.frombuffer(map_file(file), np.uint8)[begin : begin + n_bytes]
    return {path.stem: raw.view(dtype).reshape(shape, order=order)}


def _npz(path: Path) -> dict[str, Array]:
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        mapped = map_file(file)
        return _unique(
            item
            for member in archive.infolist()
            for item in _npz_member(archive, member, mapped).items()
        )


def _npz_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, mapped: FileMap
) -> dict[str, Array]:
    if not member.filename.endswith(".npy"):
        raise ValueError(f"its member {member.filename!r:.80} is no array")
    name = member.filename.removesuffix(".npy")
    with archive.open(member) as file:
        shape, order, dtype = _npy_header(file)
        if dtype.kind == "O":
            return pickled.read(file, name=name, is_prefixed=True)
        n_bytes = math.prod(shape) * dtype.itemsize
        data = _npz_data(file, member, mapped, n_bytes=n_bytes)
    if len(data) != n_bytes:
        raise ValueError(
            f"its member {name!r:.80} promises {n_bytes} bytes for shape {list(shape)}, "
            f"{member.file_size} are there, header included"
        )
    return {name: np.frombuffer(data, np.uint8).view(dtype).reshape(shape, order=order)}


def _npz_data(
    file: IO[bytes], member: zipfile.ZipInfo, mapped: FileMap, *, n_bytes: int
) -> bytes | memoryview:
    """At most the next `n_bytes` of a member, where they stand in the archive unless compressed."""
    if n_bytes > member.file_size:  # never ask for more than the archive says is there
        return b""
    if member.compress_type != zipfile.ZIP_STORED:
        return file.read(n_bytes)
    skipped = file.tell()
    while file.read(2**20):  # to the end, so that zipfile checks the sum of the bytes
        pass
    n_bytes = min(n_bytes, file.tell() - skipped)
    sizes = mapped[member.header_offset + 26 : member.header_offset + 30]  # of name and extra field
    begin = member.header_offset + 30 + int.from_bytes(sizes[:2], "little") + skipped
    begin += int.from_bytes(sizes[2:], "little")
    return memoryview(mapped)[begin : begin + n_bytes]


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], _Order, np.dtype[np.generic]]:
    """Shape, order and dtype (numeric or object); leaves the file where the data begins."""
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"it has .npy format version {version}; numeric arrays have 1 or 2")
    try:
        shape, is_fortran, dtype = readers[version](file)
    except Exception as err:  # numpy parses it as a Python literal, which can fail in any way
        raise ValueError(f"its header can't be read: {type(err).__name__}") from err
    if len(shape) > _MAX_DIMENSIONS or any(
        type(size) is not int or not 0 <= size < 2**48 for size in shape
    ):
        raise ValueError(f"its header names the impossible shape {str(shape)[:80]}")
    if dtype.kind not in _NUMERIC and not (dtype.kind == "O" and dtype.fields is None):
        raise ValueError(
            f"it has dtype {dtype}, which is not numeric (numpy files can't name bfloat16 or "
            "float8: save such arrays as .safetensors)"
        )
    return shape, "F" if is_fortran else "C", dtype


def _safetensors(path: Path) -> dict[str, Array]:
    return shards.map_shard(path.resolve())  # caches of model hubs are full of links


def _unique(items: Iterable[tuple[str, Array]]) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for name, array in items:
        if name in arrays:
            raise ValueError(f"it holds {name!r:.80} twice")
        arrays[name] = array
    return arrays
