"""Traces that were cut, swapped or forged: refused with a reason, or read while sound."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portalign.errors import TraceError
from portalign.records import Kind, Role, SideInfo, TensorKey
from portalign.store import TraceWriter, read_trace

INFO = SideInfo(Role.REFERENCE, "torch", "2.13.0", "3.11", "cpu", "eval", 0, 1, "a:b", "c")
Json = Any


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Four records in two shards: 0 and 1, then 2, and 3 is an alias of 0."""
    folder = tmp_path / "trace"
    writer = TraceWriter(folder, shard_bytes=2200)
    writer.add(TensorKey(Kind.LOSS, "a"), np.arange(6, dtype="f4").reshape(2, 3))
    writer.add(TensorKey(Kind.LOSS, "b"), np.arange(4, dtype="i4"))
    writer.add(TensorKey(Kind.LOSS, "c"), np.ones(100))
    writer.alias(TensorKey(Kind.LOSS, "d"), of=0)
    writer.finish(INFO)
    return folder


def shard(folder: Path, number: int = 0) -> Path:
    return folder / f"shard-{number:05d}.safetensors"


def edit_header(path: Path, change: Callable[[Json], Json | bytes]) -> None:
    """Rewrite the header of a shard, keeping its data."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    changed = change(json.loads(data[8:end]))
    text = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[end:])


def edit_line(folder: Path, number: int, **changes: Json) -> None:
    path = folder / "records.jsonl"
    lines = path.read_text().splitlines()
    lines[number] = json.dumps({**json.loads(lines[number]), **changes})
    path.write_text("\n".join(lines) + "\n")


def edit_manifest(folder: Path, **changes: Json) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def refusal(folder: Path) -> TraceError:
    with pytest.raises(TraceError) as caught:
        read_trace(folder)
    assert type(caught.value) is TraceError
    return caught.value


def entry(**changes: Json) -> Callable[[Json], Json]:
    return lambda header: {**header, "0": {**header["0"], **changes}}


HEADERS: dict[str, tuple[Callable[[Json], Json | bytes], str]] = {
    "not_json": (lambda header: b"{" * 50, "broken header"),
    "not_utf8": (lambda header: b'{"\xff": 1}', "broken header"),
    "not_an_object": (lambda header: [header], "it is no JSON object"),
    "nested_deep": (lambda header: b"[" * 200_000, "nested too deep"),
    "doubled_name": (
        lambda header: json.dumps(header).encode()[:-1] + b', "0": 1}',
        "written twice",
    ),
    "unknown_dtype": (entry(dtype="F128"), "dtype 'F128' is unknown"),
    "dtype_is_a_list": (entry(dtype=[]), "dtype [] is unknown"),
    "negative_size": (entry(shape=[-2, -3]), "impossible shape"),
    "size_is_a_bool": (entry(shape=[True, 6]), "impossible shape"),
    "size_is_a_float": (entry(shape=[2.0, 3]), "impossible shape"),
    "shape_is_text": (entry(shape="23"), "impossible shape"),
    "too_many_dimensions": (entry(shape=[6] + [1] * 99), "impossible shape"),
    "extra_field": (entry(extra=1), "no tensor description"),
    "null": (lambda header: {**header, "0": None}, "no tensor description"),
    "larger_shape": (entry(shape=[200, 300]), "needs 240000 bytes, its offsets [0, 24] hold 24"),
    "wider_dtype": (entry(dtype="F64"), "needs 48 bytes"),
    "overflowing_shape": (entry(shape=[2**33, 2**33]), "needs 295147905179352825856 bytes"),
    "empty_but_vast": (entry(shape=[0, 2**62], data_offsets=[0, 0]), "needs 0 bytes"),
    "reversed_offsets": (entry(data_offsets=[24, 0]), "its offsets [24, 0] hold -24"),
    "overlap": (
        lambda header: {**header, "1": {**header["1"], "data_offsets": [8, 24]}},
        "overlaps another",
    ),
    "beyond_the_end": (
        lambda header: {**header, "1": {**header["1"], "data_offsets": [2**40, 2**40 + 16]}},
        "leaves a hole",
    ),
    "hole": (lambda header: {"1": header["1"]}, "leaves a hole"),
    "unlisted_data": (lambda header: {"0": header["0"]}, "holds 40 bytes of data"),
    "renamed": (lambda header: {"0": header["0"], "7": header["1"]}, "lacks record 1"),
    "other_shape_of_same_size": (entry(shape=[3, 2]), "should be F32 [2, 3]"),
    "other_dtype_of_same_size": (entry(dtype="I32"), "holds I32 [2, 3]"),
}


@pytest.mark.parametrize("is_complete", [True, False], ids=["whole", "incomplete"])
@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_lies_is_refused(trace: Path, name: str, is_complete: bool) -> None:
    change, says = HEADERS[name]
    edit_header(shard(trace), change)
    if not is_complete:
        (trace / "manifest.json").unlink()

    assert says in refusal(trace).found


def test_a_header_that_claims_a_terabyte_is_refused_unread(trace: Path) -> None:
    shard(trace).write_bytes((2**40).to_bytes(8, "little") + b"{}")

    assert "names a header of 1099511627776 bytes" in refusal(trace).found


def test_a_sound_header_with_metadata_is_read(trace: Path) -> None:
    edit_header(shard(trace), lambda header: {"__metadata__": {"by": "x"}, **header})

    assert read_trace(trace).is_complete


def cut(path: Path, n_bytes: int) -> None:
    os.truncate(path, n_bytes)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.unlink(), "shard-00001.safetensors is missing"),
        (lambda path: cut(path, 0), "has 0 bytes, a header needs 8"),
        (lambda path: cut(path, 5), "has 5 bytes"),
        (lambda path: cut(path, 30), "its header alone needs"),
        (lambda path: cut(path, path.stat().st_size - 1), "holds 799 bytes of data"),
    ],
    ids=["missing", "empty", "in_length", "in_header", "in_data"],
)
def test_a_lost_or_cut_shard_breaks_a_whole_trace_and_ends_an_incomplete_one(
    trace: Path, damage: Callable[[Path], None], says: str
) -> None:
    damage(shard(trace, 1))

    assert says in refusal(trace).found
    assert "capture this side again" in refusal(trace).do

    (trace / "manifest.json").unlink()
    assert [record.key.path for record in read_trace(trace).records] == ["a", "b"]
    assert not read_trace(trace).is_complete


def test_a_half_written_last_line_ends_an_incomplete_trace_and_breaks_a_whole_one(
    trace: Path,
) -> None:
    path = trace / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-20])

    assert "line 4 is cut off" in refusal(trace).found

    (trace / "manifest.json").unlink()
    assert [record.key.path for record in read_trace(trace).records] == ["a", "b", "c"]


def test_a_broken_line_that_is_not_the_last_is_never_tolerated(trace: Path) -> None:
    path = trace / "records.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:-20] + b"\n" + lines[2])
    (trace / "manifest.json").unlink()

    assert "records.jsonl line 2 is broken" in refusal(trace).found


LINES: dict[str, tuple[dict[str, Json], str]] = {
    "parent_folder": ({"shard": "../shard-00000.safetensors"}, "is no shard's name"),
    "absolute": ({"shard": "/etc/passwd"}, "is no shard's name"),
    "subfolder": ({"shard": "x/shard-00000.safetensors"}, "is no shard's name"),
    "null_byte": ({"shard": "shard-00000.safetensors\0"}, "is no shard's name"),
    "newline": ({"shard": "shard-00000.safetensors\n"}, "is no shard's name"),
    "other_digits": ({"shard": "shard-" + 5 * chr(0x660) + ".safetensors"}, "is no shard's name"),
    "manifest": ({"shard": "manifest.json"}, "is no shard's name"),
    "other_shard": ({"shard": "shard-00001.safetensors"}, "lacks record 1"),
    "gap": ({"order": 5}, "line 2 says it is record 5"),
    "alias_of_itself": ({"alias_of": 1}, "refers to record 1, which isn't earlier"),
    "alias_of_later": ({"alias_of": 3}, "refers to record 3"),
    "alias_of_negative": ({"alias_of": -1}, "refers to record -1"),
    "unknown_field": ({"pickle": "x"}, "has the unknown field 'pickle'"),
    "order_is_a_bool": ({"order": True}, "Line.order should be int, is True"),
    "shape_is_text": ({"shape": ["2"]}, "Line.shape[0] should be int, is '2'"),
    "key_is_text": ({"key": "a"}, "Line.key should be an object"),
    "no_key": ({"key": {}}, "Line.key lacks the field 'kind'"),
    "unknown_kind": ({"key": {"kind": "magic", "path": ""}}, "'magic' is not a valid Kind"),
    "doubled_key": ({"key": {"kind": "loss", "path": "a"}}, "loss a is recorded twice"),
}


@pytest.mark.parametrize("name", LINES)
def test_a_line_that_lies_is_refused(trace: Path, name: str) -> None:
    changes, says = LINES[name]
    edit_line(trace, 1, **changes)

    assert says in refusal(trace).found


def test_a_line_without_end_is_not_read_into_memory(trace: Path) -> None:
    (trace / "records.jsonl").write_bytes(b"[" * (2**20 + 1))
    (trace / "manifest.json").unlink()

    assert "longer than 1048576 bytes" in refusal(trace).found


@pytest.mark.parametrize("name", ["shard-00000.safetensors", "records.jsonl", "manifest.json"])
def test_links_are_refused_even_to_the_same_bytes(trace: Path, name: str) -> None:
    outside = trace.parent / "outside"
    (trace / name).rename(outside)
    (trace / name).symlink_to(outside)

    assert f"{name} is a link" in refusal(trace).found


@pytest.mark.parametrize("name", ["shard-00000.safetensors", "records.jsonl", "manifest.json"])
def test_a_pipe_does_not_hang_the_reader(trace: Path, name: str) -> None:
    (trace / name).unlink()
    os.mkfifo(trace / name)

    assert f"{name} is no plain file" in refusal(trace).found


MANIFESTS: dict[str, tuple[dict[str, Json], str]] = {
    "more_records": ({"n_records": 5}, "promises 5 records, 4 are there"),
    "fewer_records": ({"n_records": 3}, "promises 3 records, 4 are there"),
    "no_schema": ({"schema": None}, "it names no schema"),
    "schema_0": ({"schema": 0}, "it names no schema"),
    "no_info": ({"info": None}, "Manifest.info should be an object, is None"),
    "unknown_field": ({"command": "rm"}, "has the unknown field 'command'"),
    "skipped_is_a_dict": ({"skipped": {}}, "Manifest.skipped should be tuple"),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_that_lies_is_refused(trace: Path, name: str) -> None:
    changes, says = MANIFESTS[name]
    edit_manifest(trace, **changes)

    assert says in refusal(trace).found


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xfe", b"1" * 5000])
def test_a_manifest_that_is_no_manifest_is_refused(trace: Path, text: bytes) -> None:
    (trace / "manifest.json").write_bytes(text)

    assert "manifest.json is broken" in refusal(trace).found


def test_a_trace_of_a_newer_portalign_says_what_to_upgrade(trace: Path) -> None:
    edit_manifest(trace, schema=2, wonders=True)

    error = refusal(trace)

    assert "has schema 2; this portalign reads 1" in error.found
    assert "pip install -U portalign" in error.do
    assert "capture this side again" in error.do


def test_a_whole_trace_without_its_records_is_refused(trace: Path) -> None:
    (trace / "records.jsonl").unlink()

    assert "records.jsonl is missing" in refusal(trace).found


@pytest.mark.parametrize("kind", ["absent", "empty", "file"])
def test_what_is_no_trace_is_called_so(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "x"
    if kind == "empty":
        folder.mkdir()
    if kind == "file":
        folder.write_text("hello")

    error = refusal(folder)

    assert str(folder) in error.found
    assert error.do


def test_an_older_manifest_without_new_fields_is_read_with_their_defaults(trace: Path) -> None:
    info = json.loads((trace / "manifest.json").read_text())["info"]
    edit_manifest(trace, info={name: info[name] for name in info if name != "peak_memory_bytes"})

    assert read_trace(trace).info == INFO
