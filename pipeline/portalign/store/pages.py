"""Give mapped pages back once they were read, so that passes over huge traces stay small."""

from __future__ import annotations

import mmap

import numpy as np

from portalign.records import Array

_DROP = getattr(mmap, "MADV_DONTNEED", None)  # absent on Windows


def release(array: Array) -> None:
    """Give the whole pages of a read-only memory map behind `array` back to the system.

    The values stay what they are: a later access reads them again from the file. Arrays that are
    not mapped, or mapped for writing, are left alone.
    """
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    base = base.obj if isinstance(base, memoryview) else base
    if _DROP is None or not isinstance(base, mmap.mmap) or array.nbytes < mmap.PAGESIZE:
        return
    with memoryview(base) as view:
        if not view.readonly:
            return
        origin = np.frombuffer(view, np.uint8).__array_interface__["data"][0]
        n_mapped = view.nbytes
    reach = [step * (n - 1) for step, n in zip(array.strides, array.shape, strict=True)]
    first: int = array.__array_interface__["data"][0]
    low = first + sum(step for step in reach if step < 0)
    high = first + sum(step for step in reach if step > 0) + array.itemsize
    start = -(-(low - origin) // mmap.PAGESIZE) * mmap.PAGESIZE
    stop = n_mapped if high - origin >= n_mapped else (high - origin) & -mmap.PAGESIZE
    if stop > start:
        base.madvise(_DROP, start, stop - start)
