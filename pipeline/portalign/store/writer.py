"""The writing half of the store: arrays go to disk while a side runs, so memory stays bounded.

Each shard is written under a temporary name and renamed, then the lines of its records are
appended, and the manifest comes last: whenever the process dies, what lies there is a readable,
incomplete trace.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, final

import numpy as np

from portalign.errors import TraceError
from portalign.records import Array, SideInfo, SkippedRecord, TensorKey
from portalign.store import layout, plain, shards
from portalign.store.layout import Line, Manifest

_RECORD_OVERHEAD_BYTES = 1024  # generous: its line and its header; so scalars flush too
# how our own files begin; anything else under these names isn't ours to delete
_BEGINNINGS = {layout.MANIFEST: b'{\n "schema":', layout.RECORDS: b'{"order":0,'}


@final
class TraceWriter:
    """Writes one trace. An older trace in the folder is removed first; other files are left alone.

    Args:
        folder: made if it doesn't exist.
        shard_bytes: about how much is held in memory before it goes to disk, and how large a shard
            gets. An array of at least this size is written at once, alone, without being copied.

    Raises:
        TraceError: the folder can't be used, or a file in the way wasn't written by portalign.
    """

    def __init__(self, folder: Path, *, shard_bytes: int = 32 * 2**20) -> None:
        self._folder = folder
        self._shard_bytes = shard_bytes
        self._held: dict[str, Array] = {}
        self._n_held_bytes = 0
        self._lines: list[Line] = []
        self._n_shards = 0
        self._n_safe = 0
        self._keys: dict[TensorKey, int] = {}
        self._skipped: list[SkippedRecord] = []
        self._is_open = True
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _remove_trace(folder)
            (folder / layout.RECORDS).touch(exist_ok=False)
        except OSError as err:
            raise TraceError(
                f"{folder} can't take a trace: {err}",
                why="there is nowhere to put what this side computes",
                do="give a folder you may write to (--logs DIR)",
            ) from err

    def add(self, key: TensorKey, array: Array, *, module_type: str = "", dtype: str = "") -> int:
        """Record an array as it is now; it may change afterwards.

        Args:
            array: any shape, 0-d and empty included, any memory layout and byte order; bool,
                integers, float16 to float64, complex64, and of ml_dtypes bfloat16, float8_e4m3fn
                and float8_e5m2.
            dtype: what the framework calls its dtype; numpy's name if not given.

        Returns:
            The record's order.

        Raises:
            TraceError: a key twice, a dtype that can't be stored, a full disk.
        """
        if not isinstance(array, (np.ndarray, np.generic)):
            raise _refused(key, f"is a {type(array).__name__}, not a numpy array")
        stored = shards.dtype_name(array.dtype)
        if stored is None:
            raise _refused(key, f"has dtype {array.dtype}, which no trace can hold")
        order = self._next_order(key)
        cost = array.nbytes + _RECORD_OVERHEAD_BYTES
        if self._n_held_bytes + cost > self._shard_bytes:
            self._flush()
        self._held[str(order)] = (
            np.asarray(array)
            if array.nbytes >= self._shard_bytes
            else np.array(array, dtype=shards.little_endian(array.dtype), order="C")
        )
        self._n_held_bytes += cost
        self._lines.append(
            Line(
                order=order,
                key=key,
                module_type=module_type,
                dtype=dtype or array.dtype.name,
                stored=stored,
                shape=tuple(array.shape),
                shard=layout.shard_name(self._n_shards),
            )
        )
        if self._n_held_bytes >= self._shard_bytes:
            self._flush()
        return order

    def alias(self, key: TensorKey, *, of: int, module_type: str = "") -> int:
        """Record that `key` is the very tensor recorded before with order `of`.

        Returns:
            The order of this record.

        Raises:
            TraceError: a key twice, or no such earlier record.
        """
        if not 0 <= of < len(self._keys):
            raise _refused(key, f"is said to be record {of}, but there are {len(self._keys)}")
        order = self._next_order(key)
        self._lines.append(Line(order=order, key=key, module_type=module_type, alias_of=of))
        if not self._held:
            self._flush()
        return order

    def skip(self, key: TensorKey, reason: str) -> None:
        """Note a tensor that was seen but can't be recorded, and why."""
        self._check_open()
        self._skipped.append(SkippedRecord(key, reason))

    def finish(self, info: SideInfo) -> None:
        """Write what is held and the manifest: the trace is whole now, and closed.

        Raises:
            TraceError: the disk is full, or the trace is closed already.
        """
        self._check_open()
        self._flush()
        manifest = Manifest(
            schema=layout.SCHEMA,
            n_records=len(self._keys),
            info=info,
            skipped=tuple(self._skipped),
        )
        text = plain.to_json(manifest, indent=1).encode() + b"\n"
        self._put(layout.MANIFEST, lambda file: file.write(text), n_bytes=len(text))
        self._is_open = False

    def _next_order(self, key: TensorKey) -> int:
        self._check_open()
        if key in self._keys:
            raise _refused(key, f"was recorded before, as record {self._keys[key]}")
        return self._keys.setdefault(key, len(self._keys))

    def _check_open(self) -> None:
        if not self._is_open:
            raise TraceError(
                f"the trace in {self._folder} is closed",
                why="it was finished, or a write failed before",
                do="open a new TraceWriter",
            )

    def _flush(self) -> None:
        self._is_open = False  # until all of it is on disk: a half-written trace takes no more
        if self._held:
            self._put(
                layout.shard_name(self._n_shards),
                lambda file: shards.write_shard(file, self._held, chunk_bytes=self._shard_bytes),
                n_bytes=self._n_held_bytes,
            )
            self._n_shards += 1
        text = "".join(plain.to_json(line) + "\n" for line in self._lines)
        try:
            with (self._folder / layout.RECORDS).open("ab") as file:
                file.write(text.encode())
        except OSError as err:
            raise self._full(layout.RECORDS, err, n_bytes=len(text)) from err
        self._n_safe += len(self._lines)
        self._held, self._lines, self._n_held_bytes = {}, [], 0
        self._is_open = True

    def _put(self, name: str, write: Callable[[BinaryIO], object], *, n_bytes: int) -> None:
        """Write a file under a temporary name, then rename it into place."""
        part = self._folder / (name + layout.UNFINISHED)
        try:
            with part.open("xb") as file:
                write(file)
            part.replace(self._folder / name)
        except OSError as err:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            self._is_open = False
            raise self._full(name, err, n_bytes=n_bytes) from err

    def _full(self, name: str, err: OSError, *, n_bytes: int) -> TraceError:
        free = "an unknown number of"
        with suppress(OSError):
            free = str(shutil.disk_usage(self._folder).free)
        return TraceError(
            f"writing {self._folder / name} failed: {err.strerror or err}; "
            f"about {n_bytes} bytes were needed, {free} are free there",
            why=f"the rest of this capture can't be kept; the first {self._n_safe} records are, "
            "as an incomplete trace",
            do="free space or name a folder on another disk (--logs DIR), then run the step again",
        )


def _refused(key: TensorKey, what: str) -> TraceError:
    return TraceError(
        f"{key} {what}",
        why="a record must be one numeric array under a name of its own",
        do="if your own function returned it, return plain numeric arrays; else please report it",
    )


def _remove_trace(folder: Path) -> None:
    """Remove an older trace, its manifest first, so that at no time half of it looks whole."""
    for name, beginning in _BEGINNINGS.items():
        path = folder / name
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                head = file.read(len(beginning))
            if not beginning.startswith(head):
                raise TraceError(
                    f"{path} was not written by portalign",
                    why="a trace needs that name, and your file would be lost",
                    do="move it away, or give another folder",
                )
    for name in _BEGINNINGS:
        (folder / name).unlink(missing_ok=True)
        (folder / (name + layout.UNFINISHED)).unlink(missing_ok=True)
    for path in sorted(folder.iterdir()):
        if layout.SHARD.fullmatch(path.name.removesuffix(layout.UNFINISHED)):
            path.unlink()
