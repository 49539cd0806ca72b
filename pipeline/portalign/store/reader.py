"""The reading half of the store: a folder to a `Trace` whose arrays are read-only memory maps.

A trace may come from another machine or a stranger, so nothing in it is believed: names must be
plain, shards must be sound, and lines, shards and manifest must tell the same story.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from portalign.errors import TraceError
from portalign.records import Array, TensorKey, TensorRecord, Trace
from portalign.store import layout, plain, shards
from portalign.store.layout import Line, Manifest
from portalign.store.shards import ShardError

_MAX_LINE_BYTES = 2**20
_MAX_MANIFEST_BYTES = 2**30


def read_trace(folder: Path) -> Trace:
    """Read a trace. Arrays are mapped, not loaded; they stay valid while they are referenced.

    Returns:
        The trace; without a manifest ``is_complete`` is False, ``info`` is None, and the records
        are all that were safely written before the capture stopped.

    Raises:
        TraceError: there is no trace, it was written by a newer portalign, or it is damaged: fewer
            or more records than promised, a missing or cut-off shard of a whole trace, a header
            that contradicts its file, a name that leads out of the folder.
    """
    manifest = _manifest(folder)
    try:
        records = _records(folder, is_complete=manifest is not None)
    except (ShardError, OSError) as err:
        raise _damaged(folder, str(err)) from err
    if manifest is None:
        return Trace(str(folder), None, records, is_complete=False)
    if manifest.n_records != len(records):
        raise _damaged(
            folder, f"the manifest promises {manifest.n_records} records, {len(records)} are there"
        )
    return Trace(str(folder), manifest.info, records, True, manifest.skipped)


def _manifest(folder: Path) -> Manifest | None:
    try:
        with shards.open_plain(folder / layout.MANIFEST) as file:
            text = file.read(_MAX_MANIFEST_BYTES)
    except ShardError as err:
        if err.is_cut_off:
            return None
        raise _damaged(folder, str(err)) from err
    except OSError as err:
        raise _damaged(folder, str(err)) from err
    try:
        data = plain.parse(text)
        schema = data.get("schema") if isinstance(data, dict) else None
        if type(schema) is not int or schema < 1:
            raise ValueError("it names no schema")
        if schema > layout.SCHEMA:
            raise TraceError(
                f"the trace in {folder} has schema {schema}; this portalign reads {layout.SCHEMA}",
                why="a newer portalign wrote it, and its records may mean something else",
                do="upgrade portalign (pip install -U portalign), or capture this side again",
            )
        return plain.from_plain(Manifest, data)
    except ValueError as err:
        raise _damaged(folder, f"{layout.MANIFEST} is broken: {err}") from err


def _records(folder: Path, *, is_complete: bool) -> tuple[TensorRecord, ...]:
    records: list[TensorRecord] = []
    keys: set[TensorKey] = set()
    mapped: dict[str, dict[str, Array]] = {}
    with _open_records(folder) as file:
        while text := file.readline(_MAX_LINE_BYTES):
            if not text.endswith(b"\n") and len(text) < _MAX_LINE_BYTES and not is_complete:
                break  # the process died while it wrote this line, which is the last
            line = _line(text, order=len(records))
            if line.key in keys:
                raise ShardError(f"{line.key} is recorded twice")
            keys.add(line.key)
            try:
                records.append(_record(folder, line, records, mapped))
            except ShardError as err:
                if err.is_cut_off and not is_complete:
                    break  # a machine that lost power may keep a line and lose its shard
                raise
    return tuple(records)


def _open_records(folder: Path) -> BinaryIO:
    try:
        return shards.open_plain(folder / layout.RECORDS)
    except ShardError as err:
        if not err.is_cut_off or (folder / layout.MANIFEST).exists():
            raise
        raise TraceError(
            f"{folder} holds no trace",
            why="there is nothing to read",
            do="run the step that captures it, or correct the folder",
        ) from err


def _line(text: bytes, *, order: int) -> Line:
    place = f"{layout.RECORDS} line {order + 1}"
    if not text.endswith(b"\n"):
        raise ShardError(f"{place} is cut off or longer than {_MAX_LINE_BYTES} bytes")
    try:
        line = plain.from_plain(Line, plain.parse(text))
    except ValueError as err:
        raise ShardError(f"{place} is broken: {err}") from err
    if line.order != order:
        raise ShardError(f"{place} says it is record {line.order}")
    if line.alias_of is not None and not 0 <= line.alias_of < order:
        raise ShardError(f"{place} refers to record {line.alias_of}, which isn't earlier")
    return line


def _record(
    folder: Path, line: Line, records: list[TensorRecord], mapped: dict[str, dict[str, Array]]
) -> TensorRecord:
    if line.alias_of is not None:
        array, dtype = records[line.alias_of].array, records[line.alias_of].dtype
    else:
        array, dtype = _array(folder, line, mapped), line.dtype
    return TensorRecord(line.key, line.order, array, dtype, line.module_type, line.alias_of)


def _array(folder: Path, line: Line, mapped: dict[str, dict[str, Array]]) -> Array:
    """The array of a line; `mapped` keeps the shards opened so far."""
    if not layout.SHARD.fullmatch(line.shard):
        raise ShardError(f"record {line.order} names {line.shard!r:.80}, which is no shard's name")
    if line.shard not in mapped:
        mapped[line.shard] = shards.map_shard(folder / line.shard)
    array = mapped[line.shard].get(str(line.order))
    if array is None:
        raise ShardError(f"{line.shard} lacks record {line.order}, {line.key}")
    if array.shape != line.shape or shards.dtype_name(array.dtype) != line.stored:
        raise ShardError(
            f"record {line.order}, {line.key}, should be {line.stored} {list(line.shape)}; "
            f"{line.shard} holds {shards.dtype_name(array.dtype)} {list(array.shape)}"
        )
    return array


def _damaged(folder: Path, found: str) -> TraceError:
    return TraceError(
        f"the trace in {folder} is damaged: {found}",
        why="what it holds can't be told from what it should hold",
        do="capture this side again; if you received the trace, have it sent again",
    )
