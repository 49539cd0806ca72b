"""Whole files as read-only maps, and two ways to pass over huge ones without filling memory.

Mapped pages are handed back once they were read, and long runs are read from the file itself, past
the map: that costs half of what the page faults of a first touch do.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any, BinaryIO, final

import numpy as np

from portalign.errors import InputError
from portalign.records import Array

_LINE = 64  # bytes of a cache line
_DROP = getattr(mmap, "MADV_DONTNEED", None)  # absent on Windows


@final
class FileMap(mmap.mmap):
    """A read-only map of a whole file, which remembers the file; made by `map_file`.

    The file is remembered by its path and not by a descriptor, of which a folder of a thousand
    arrays would need too many.
    """

    path: Path
    identity: tuple[int, int]


def map_file(file: BinaryIO) -> FileMap:
    """Map an open file. Raises ValueError if it is empty, OSError if it can't be mapped."""
    found = FileMap(file.fileno(), 0, access=mmap.ACCESS_READ)
    found.path = Path(file.name).absolute()
    found.identity = _identity(file)
    return found


@final
class Run:
    """An array's bytes, read in order from the file that is mapped behind it.

    Args:
        file: stands at the first byte.
    """

    __slots__ = ("_file", "_start")

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = file.tell()

    def buffer(self, dtype: np.dtype[Any], n_elements: int) -> Array:
        """Room for `n_elements`, in a good place to read to.

        Half a page from where the bytes lie in theirs: 64 bytes or less behind it an AMD EPYC (with
        512 kB of second-level cache per core) copies 1.8 GB/s instead of 11, for each load then
        seems to need the store before it.
        """
        room = np.empty(n_elements * dtype.itemsize + 2 * mmap.PAGESIZE, np.uint8)
        first: int = room.__array_interface__["data"][0]
        wanted = self._start + mmap.PAGESIZE // 2
        skipped = (wanted - first) % mmap.PAGESIZE
        skipped += -(first + skipped) % _LINE
        return room[skipped : skipped + n_elements * dtype.itemsize].view(dtype)

    def read(self, buffer: Array) -> None:
        """Fill a contiguous buffer with the next bytes.

        Raises:
            InputError: the file has become shorter.
        """
        waiting = buffer.view(np.uint8).data  # ml_dtypes have no buffers of their own
        while waiting.nbytes:
            n_bytes = self._file.readinto(waiting)  # type: ignore[attr-defined]  # unbuffered
            if not n_bytes:
                raise InputError(
                    f"{self._file.name} ends {waiting.nbytes} bytes too early",
                    why="it was cut short while it was read, and no number can be trusted",
                    do="compare again when nothing writes to it any more",
                )
            waiting = waiting[n_bytes:]

    def close(self) -> None:
        self._file.close()


def open_run(array: Array) -> Run | None:
    """Open the file behind a C-contiguous array to read the array's bytes from it.

    Returns:
        None where no `FileMap` is behind the array, or its file isn't found in its place any more.
    """
    base = _owner(array)
    if not isinstance(base, FileMap) or not array.flags.c_contiguous:
        return None
    try:
        file = base.path.open("rb", buffering=0)
    except OSError:
        return None
    if _identity(file) != base.identity:
        file.close()
        return None
    file.seek(array.__array_interface__["data"][0] - _extent(base)[0])
    return Run(file)


def release(array: Array) -> None:
    """Give the whole pages of a read-only memory map behind `array` back to the system.

    The values stay what they are: a later access reads them again from the file. Arrays that are
    not mapped, or mapped for writing, are left alone.
    """
    base = _owner(array)
    if _DROP is None or not isinstance(base, mmap.mmap) or array.nbytes < mmap.PAGESIZE:
        return
    with memoryview(base) as view:
        if not view.readonly:
            return
    origin, n_mapped = _extent(base)
    reach = [step * (n - 1) for step, n in zip(array.strides, array.shape, strict=True)]
    first: int = array.__array_interface__["data"][0]
    low = first + sum(step for step in reach if step < 0)
    high = first + sum(step for step in reach if step > 0) + array.itemsize
    start = -(-(low - origin) // mmap.PAGESIZE) * mmap.PAGESIZE
    stop = n_mapped if high - origin >= n_mapped else (high - origin) & -mmap.PAGESIZE
    if stop > start:
        base.madvise(_DROP, start, stop - start)


def _owner(array: Array) -> object:
    """What holds the array's memory in the end."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base.obj if isinstance(base, memoryview) else base


def _extent(mapped: mmap.mmap) -> tuple[int, int]:
    """Address and length of a map."""
    whole = np.frombuffer(mapped, np.uint8)
    return whole.__array_interface__["data"][0], whole.nbytes


def _identity(file: BinaryIO) -> tuple[int, int]:
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino
