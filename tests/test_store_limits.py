"""Writing under pressure: bounded memory, refused arrays, killed runs, full disks, used folders."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from portalign.errors import TraceError
from portalign.records import Array
from portalign.store import TraceWriter, read_trace
from sample_traces import BASE, INFO, key, write


@contextmanager
def files_limited_to(n_bytes: int) -> Iterator[None]:
    """Let no file grow beyond `n_bytes`: the kernel fails the write, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("n_arrays", "shape", "is_transposed"),
    [(200, (64, 1024), False), (1, (4096, 4096), False), (1, (4096, 4096), True)],
    ids=["many", "one_huge", "one_huge_transposed"],
)
def test_memory_stays_near_the_size_of_a_shard(
    tmp_path: Path, n_arrays: int, shape: tuple[int, int], is_transposed: bool
) -> None:
    array = np.zeros(shape, dtype="f4")
    array = array.T if is_transposed else array
    tracemalloc.start()
    try:
        writer = TraceWriter(tmp_path, shard_bytes=2**22)
        for number in range(n_arrays):
            writer.add(key(str(number)), array)
        writer.finish(INFO)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    # a shard in memory and a piece being converted; 50 to 64 MB went through
    assert peak < 2.5 * 2**22


def test_a_million_scalars_would_not_pile_up_either(tmp_path: Path) -> None:
    write(tmp_path, {str(i): np.float32(i) for i in range(3000)}, shard_bytes=2**20)

    assert len(list(tmp_path.glob("shard-*"))) == 3  # a record counts as at least 1 kB
    assert [float(record.array) for record in read_trace(tmp_path).records] == list(range(3000))


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.array(["a", "b"]), "dtype <U1"),
        (np.array([None, {}]), "dtype object"),
        (np.zeros(2, "c16"), "dtype complex128"),
        (np.zeros(2, np.longdouble), "dtype float128"),
        (np.zeros(2, "M8[s]"), "dtype datetime64[s]"),
        (np.zeros(2, "i4,f4"), "dtype [('f0', '<i4')"),
        (np.zeros(2, "V2"), "dtype |V2"),
        ([1.0, 2.0], "is a list, not a numpy array"),
        (1.0, "is a float, not a numpy array"),
    ],
)
def test_what_is_no_numeric_array_is_refused_and_the_rest_kept(
    tmp_path: Path, array: Array, says: str
) -> None:
    writer = TraceWriter(tmp_path)
    writer.add(key("a"), BASE)

    with pytest.raises(TraceError) as caught:
        writer.add(key("b"), array)
    writer.finish(INFO)

    assert says in caught.value.found
    assert "activation b.out.0" in caught.value.found
    assert len(read_trace(tmp_path).records) == 1


def test_a_key_twice_and_an_alias_of_nothing_are_refused(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path)
    writer.add(key("a"), BASE)

    with pytest.raises(TraceError, match="was recorded before, as record 0"):
        writer.add(key("a"), BASE)
    with pytest.raises(TraceError, match="was recorded before, as record 0"):
        writer.alias(key("a"), of=0)
    for of in (1, -1):
        with pytest.raises(TraceError, match=f"said to be record {of}, but there are 1"):
            writer.alias(key("b"), of=of)
    writer.finish(INFO)

    assert len(read_trace(tmp_path).records) == 1


def test_a_finished_trace_takes_no_more(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path)
    writer.finish(INFO)

    with pytest.raises(TraceError, match="is closed"):
        writer.add(key("a"), BASE)
    with pytest.raises(TraceError, match="is closed"):
        writer.finish(INFO)
    assert read_trace(tmp_path).records == ()
    assert read_trace(tmp_path).is_complete


def test_a_killed_run_leaves_every_earlier_shard_readable(tmp_path: Path) -> None:
    code = f"""
import os, signal, numpy as np
from pathlib import Path
from portalign.records import Kind, TensorKey
from portalign.store import TraceWriter
writer = TraceWriter(Path({str(tmp_path)!r}), shard_bytes=10_000)
for i in range(30):
    writer.add(TensorKey(Kind.LOSS, str(i)), np.full(250, float(i)))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)

    trace = read_trace(tmp_path)

    assert done.returncode == -signal.SIGKILL
    assert not trace.is_complete
    assert trace.info is None
    assert [float(r.array[7]) for r in trace.records] == list(range(27))  # 3 fit into a shard
    assert len(list(tmp_path.glob("*.part"))) == 0


@pytest.mark.parametrize(
    ("limit", "file"),
    [(60_000, "shard-00001.safetensors"), (400, "records.jsonl")],
    ids=["shard", "records"],
)
def test_a_full_disk_says_so_and_keeps_what_came_before(
    tmp_path: Path, limit: int, file: str
) -> None:
    writer = TraceWriter(tmp_path, shard_bytes=1)
    writer.add(key("small"), np.arange(3))
    big = np.ones(10_000 if limit > 400 else 1)

    with files_limited_to(limit), pytest.raises(TraceError) as caught:
        writer.add(key("big"), big)

    assert file in caught.value.found
    assert "File too large" in caught.value.found
    assert "are free there" in caught.value.found
    assert "the first 1 records are, as an incomplete trace" in caught.value.why
    assert "--logs DIR" in caught.value.do
    assert not list(tmp_path.glob("*.part"))
    trace = read_trace(tmp_path)
    assert not trace.is_complete
    assert [r.array.tolist() for r in trace.records] == [[0, 1, 2]]
    with pytest.raises(TraceError, match="a write failed before"):
        writer.add(key("next"), BASE)
    with pytest.raises(TraceError, match="a write failed before"):
        writer.finish(INFO)


def test_a_full_disk_at_the_manifest_leaves_an_incomplete_trace(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path)
    writer.add(key("a"), np.arange(3))

    with files_limited_to(900), pytest.raises(TraceError, match=r"manifest\.json failed"):
        writer.finish(INFO)

    assert not read_trace(tmp_path).is_complete
    assert len(read_trace(tmp_path).records) == 1


def test_a_new_trace_removes_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, {str(i): BASE for i in range(5)}, shard_bytes=1)
    (tmp_path / "shard-00007.safetensors.part").write_bytes(b"left by a kill")
    kept = ["notes.txt", "model.safetensors", "shard-1.safetensors", "report.json"]
    for name in kept:
        (tmp_path / name).write_text("mine")

    writer = TraceWriter(tmp_path)

    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*kept, "records.jsonl"])
    assert not read_trace(tmp_path).is_complete
    writer.add(key("new"), BASE)
    writer.finish(INFO)
    assert [r.key.path for r in read_trace(tmp_path).records] == ["new"]


@pytest.mark.parametrize("name", ["manifest.json", "records.jsonl"])
def test_a_file_of_somebody_else_is_never_removed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"name": "my web app"}')

    with pytest.raises(TraceError, match="was not written by portalign"):
        TraceWriter(tmp_path)

    assert (tmp_path / name).read_text() == '{"name": "my web app"}'


def test_a_folder_that_cannot_be_made_is_a_trace_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(TraceError, match="can't take a trace"):
        TraceWriter(tmp_path / "file" / "trace")
