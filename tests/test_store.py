"""Traces written and read back: values, order, layout, and the bytes of the format."""

from __future__ import annotations

import json
import mmap
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open

from portalign.errors import TraceError
from portalign.records import Array, Kind, Precision, Role, SideInfo, SkippedRecord, TensorKey
from portalign.store import TraceWriter, read_trace, state_sha256
from sample_traces import BASE, INFO, key, write


@pytest.mark.parametrize(
    "dtype",
    [
        *("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8"),
        *(ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2),
    ],
    ids=str,
)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (5,), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("shard_bytes", [1, 2**25], ids=["direct", "buffered"])
def test_every_dtype_and_shape_comes_back_bit_for_bit(
    tmp_path: Path, dtype: type, shape: tuple[int, ...], shard_bytes: int
) -> None:
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)

    write(tmp_path, {"a": array}, shard_bytes=shard_bytes)
    record = read_trace(tmp_path).records[0]

    assert record.array.dtype == array.dtype
    assert record.dtype == array.dtype.name
    assert record.array.shape == shape
    assert record.array.tobytes() == array.tobytes()
    assert not record.array.flags.writeable


@pytest.mark.parametrize("shard_bytes", [1, 8, 2**25])
@pytest.mark.parametrize(
    "array",
    [
        BASE.T,
        BASE[:, ::-1],
        BASE[:, 1],
        np.broadcast_to(BASE[0, 0], (5, 4)),
        np.asfortranarray(BASE[0]),
        BASE.astype(">f4"),
        BASE.astype(">f4").T,
        BASE.astype(ml_dtypes.bfloat16).T,
        np.float32(3.5),
        np.array(3, dtype=">i8"),
    ],
    ids=[
        "transposed",
        "reversed",
        "sliced",
        "broadcast",
        "fortran",
        "big_endian",
        "big_endian_transposed",
        "bf16_transposed",
        "numpy_scalar",
        "big_endian_0d",
    ],
)
def test_memory_layout_and_byte_order_do_not_matter(
    tmp_path: Path, array: Array, shard_bytes: int
) -> None:
    write(tmp_path, {"a": array}, shard_bytes=shard_bytes)

    read = read_trace(tmp_path).records[0].array

    assert read.dtype.isnative
    assert read.shape == array.shape
    assert np.array_equal(read, array)


def test_nan_payloads_infinities_and_negative_zero_survive(tmp_path: Path) -> None:
    bits = np.array([0x7FC00001, 0xFFC12345, 0x7F800000, 0x80000000], dtype=np.uint32)

    write(tmp_path, {"a": bits.view(np.float32)})

    assert np.array_equal(read_trace(tmp_path).records[0].array.view(np.uint32), bits)


def test_a_record_is_a_copy_of_the_moment_it_was_added(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path)
    array = np.zeros(4)
    for iteration in range(3):
        array += 1
        writer.add(key("w", iteration=iteration), array)
    writer.finish(INFO)

    assert [r.array[0] for r in read_trace(tmp_path).records] == [1, 2, 3]


def test_order_aliases_skips_types_and_side_info_come_back(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path, shard_bytes=2000)
    orders = [
        writer.add(key("a"), BASE, module_type="Linear", dtype="bfloat16"),
        writer.alias(key("b"), of=0, module_type="ReLU"),
        writer.add(key("c"), np.ones(1000)),
        writer.alias(key("d"), of=1),
    ]
    writer.skip(key("e"), "sparse tensor")
    writer.finish(INFO)

    trace = read_trace(tmp_path)

    assert orders == [r.order for r in trace.records] == [0, 1, 2, 3]
    assert [r.key for r in trace.records] == [key(name) for name in "abcd"]
    assert [r.alias_of for r in trace.records] == [None, 0, None, 1]
    assert [r.module_type for r in trace.records] == ["Linear", "ReLU", "", ""]
    assert {r.dtype for r in trace.records if r.order != 2} == {"bfloat16"}
    assert all(np.array_equal(trace.records[i].array, BASE) for i in (0, 1, 3))
    assert trace.skipped == (SkippedRecord(key("e"), "sparse tensor"),)
    assert trace.is_complete
    assert trace.info == INFO


def test_records_of_one_shard_share_one_memory_map(tmp_path: Path) -> None:
    write(tmp_path, {"a": np.ones(3), "b": np.ones(5)})

    first, second = (record.array for record in read_trace(tmp_path).records)

    assert isinstance(_root(first), mmap.mmap)
    assert _root(first) is _root(second)


def _root(array: object) -> object:
    while isinstance(array, np.ndarray):
        array = array.base
    return array.obj if isinstance(array, memoryview) else array


def test_the_safetensors_package_reads_our_shards(tmp_path: Path) -> None:
    arrays = {"a": BASE, "b": np.array([True]), "c": np.arange(3, dtype="u2"), "d": np.float64(2)}

    write(tmp_path, arrays)

    with safe_open(tmp_path / "shard-00000.safetensors", framework="np") as file:
        for order, array in enumerate(arrays.values()):
            assert np.array_equal(file.get_tensor(str(order)), array)


def test_the_format_of_schema_1_is_these_bytes(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path)
    writer.add(TensorKey(Kind.LR, ""), np.array([1.0], dtype="f4"), dtype="float32")
    writer.add(TensorKey(Kind.PARAMETER, "fc", "weight"), np.array([[2], [-1]]), module_type="Fc")
    writer.alias(TensorKey(Kind.PARAMETER, "fé", "weight", 1, 2, Precision.FLOAT64), of=1)
    writer.skip(TensorKey(Kind.LOSS, "x"), "why")
    writer.finish(SideInfo(Role.REFERENCE, "torch", "2", "3", "cpu", "eval", 0, 1, "s", "h"))

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "manifest.json",
        "records.jsonl",
        "shard-00000.safetensors",
    ]
    assert (tmp_path / "shard-00000.safetensors").read_bytes() == (
        b'\x70\0\0\0\0\0\0\0{"1":{"dtype":"I64","shape":[2,1],"data_offsets":[0,16]},'
        b'"0":{"dtype":"F32","shape":[1],"data_offsets":[16,20]}}'
        b"\2\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\x80\x3f"
    )
    assert (tmp_path / "records.jsonl").read_bytes() == (
        b'{"order":0,"key":{"kind":"lr","path":"","slot":"","call":0,"iteration":0,'
        b'"precision":"native"},"module_type":"","dtype":"float32","stored":"F32","shape":[1],'
        b'"shard":"shard-00000.safetensors","alias_of":null}\n'
        b'{"order":1,"key":{"kind":"parameter","path":"fc","slot":"weight","call":0,"iteration":0,'
        b'"precision":"native"},"module_type":"Fc","dtype":"int64","stored":"I64","shape":[2,1],'
        b'"shard":"shard-00000.safetensors","alias_of":null}\n'
        b'{"order":2,"key":{"kind":"parameter","path":"f\\u00e9","slot":"weight","call":1,'
        b'"iteration":2,"precision":"float64"},"module_type":"","dtype":"","stored":"","shape":[],'
        b'"shard":"","alias_of":1}\n'
    )
    text = (tmp_path / "manifest.json").read_text()
    assert text == json.dumps(json.loads(text), indent=1) + "\n"
    assert json.loads(text) == {
        "schema": 1,
        "n_records": 3,
        "info": {
            "role": "reference", "framework": "torch", "framework_version": "2", "python": "3",
            "device": "cpu", "mode": "eval", "seed": 0, "threads": 1, "source": "s",
            "source_sha256": "h", "model_sha256": "", "weights_sha256": "", "inputs_sha256": "",
            "flags": {},
            "lifted": [], "structure": None, "notes": [], "seconds": {}, "peak_memory_bytes": 0,
            "optimizer": "", "optimizer_arguments": {},
        },
        "skipped": [
            {
                "key": {
                    "kind": "loss", "path": "x", "slot": "", "call": 0, "iteration": 0,
                    "precision": "native",
                },
                "reason": "why",
            }
        ],
    }  # fmt: skip


def test_the_state_hash_sees_names_dtypes_shapes_bytes_and_order_but_not_layout() -> None:
    a, b = np.arange(6, dtype="f4").reshape(2, 3), np.ones(2)
    base = state_sha256([("a", a), ("b", b)])

    same = [
        [("a", np.asfortranarray(a)), ("b", b)],
        [("a", a.astype(">f4")), ("b", np.ones((2, 2))[:, 0])],
    ]
    others = [
        [("b", b), ("a", a)],
        [("A", a), ("b", b)],
        [("a", a.reshape(3, 2)), ("b", b)],
        [("a", a.view("i4")), ("b", b)],
        [("a", a), ("b", -b)],
        [("a", a)],
        [],
    ]

    assert all(state_sha256(items) == base for items in same)
    assert len({base, *(state_sha256(items) for items in others)}) == len(others) + 1
    # over b'\x16' + 7 * b'\0' + b'["a", "int64", [1], 8]' + b'\1' + 7 * b'\0'
    assert state_sha256([("a", np.array([1], "i8"))]) == (
        "bd6f3b75d808a66f4e66107952527527c6ba931a4b20db15bd71537e6c9d5e4e"
    )
    with pytest.raises(TraceError, match="Python objects"):
        state_sha256([("a", np.array([None]))])
