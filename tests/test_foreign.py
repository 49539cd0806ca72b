"""Files of every accepted kind, as numpy and safetensors write them: names and values come back."""

from __future__ import annotations

import mmap
import pickle
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from portalign.errors import InputError
from portalign.foreign import read_arrays
from portalign.records import Kind, Precision, TensorKey
from portalign.store import TraceWriter
from sample_traces import BASE, INFO

NESTED: dict[str, Any] = {
    "logits": BASE,
    "transposed": BASE.T,
    "fortran": np.asfortranarray(BASE[0]),
    "big_endian": BASE.astype(">f8"),
    "bf16": BASE.astype(ml_dtypes.bfloat16),
    "bool": np.array([True, False]),
    "complex": np.array([1 + 2j]),
    "empty": np.zeros((0, 3), "f4"),
    "numpy_scalar": np.float32(0.1),
    "zero_d": np.array(5, dtype="i2"),
    "float": 0.1,
    "int": 3,
    "numbers": [1, 2.5],
    "none_of_them": [],
    "list": [BASE, {"x": np.ones(1)}],
    "tuple": (BASE, 1),
    "dict": {"a": {"b": BASE}, 7: BASE},
}
FLAT: dict[str, Any] = {
    **{name: value for name, value in NESTED.items() if name not in ("list", "tuple", "dict")},
    "list.0": BASE,
    "list.1.x": np.ones(1),
    "tuple.0": BASE,
    "tuple.1": 1,
    "dict.a.b": BASE,
    "dict.7": BASE,
}
HEADER = b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (), }" + (
    b" " * 63 + b"\n"
)


def save_pickled(path: Path, content: object, *, protocol: int = 4) -> Path:
    """As `numpy.save` of a dict does, with a pickle protocol of choice."""
    array = np.empty((), dtype=object)
    array[()] = content
    path.write_bytes(HEADER + pickle.dumps(array, protocol=protocol))
    return path


def assert_same(read: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(read) == list(expected)
    for name, value in expected.items():
        array = np.asarray(value)
        assert read[name].dtype == array.dtype, name
        assert read[name].shape == array.shape, name
        assert read[name].tobytes() == array.tobytes(), name
        assert not read[name].flags.writeable, name


def is_mapped(array: Any) -> bool:
    base = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base.obj if isinstance(base, memoryview) else base, mmap.mmap)


def refusal(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        read_arrays(path)
    assert str(path) in str(caught.value)
    return caught.value


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_dict_is_read_whatever_the_protocol(tmp_path: Path, protocol: int) -> None:
    path = save_pickled(tmp_path / "forward_torch.npy", NESTED, protocol=protocol)

    assert_same(read_arrays(path), FLAT)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3])
def test_dumps_of_numpy_1_are_read(tmp_path: Path, protocol: int) -> None:
    path = save_pickled(tmp_path / "x.npy", NESTED, protocol=protocol)
    assert b"numpy._core" in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(b"numpy._core", b"numpy.core"))

    assert_same(read_arrays(path), FLAT)


@pytest.mark.parametrize("protocol", range(3, pickle.HIGHEST_PROTOCOL + 1))
def test_long_pickled_arrays_stay_in_the_file(tmp_path: Path, protocol: int) -> None:
    long = np.arange(200_000, dtype="f4").reshape(400, 500)
    content = {"c": long, "transposed": long.T.copy().T, "short": BASE, "c_again": long}
    path = save_pickled(tmp_path / "x.npy", content, protocol=protocol)

    read = read_arrays(path)

    assert_same(read, content)
    assert [name for name, array in read.items() if is_mapped(array)] == [
        "c", "transposed", "c_again"
    ]  # fmt: skip


def test_numpy_save_itself_writes_what_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", {"loss": np.float64(0.5)})  # type: ignore[arg-type]  # porters do
    np.save(tmp_path / "ragged.npy", np.array([np.ones(2), np.ones((3, 1))], dtype=object))

    assert_same(read_arrays(tmp_path / "x.npy"), {"loss": np.float64(0.5)})
    assert_same(
        read_arrays(tmp_path / "ragged.npy"),
        {"ragged.0": np.ones(2), "ragged.1": np.ones((3, 1))},
    )


@pytest.mark.parametrize(
    "array",
    [BASE, BASE.T, BASE.astype(">i4"), np.float32(2), np.zeros((0, 2)), np.zeros(3, "c16")],
    ids=["c", "fortran", "big_endian", "zero_d", "empty", "complex"],
)
def test_a_plain_npy_is_mapped_and_named_by_its_file(tmp_path: Path, array: Any) -> None:
    np.save(tmp_path / "logits.npy", array)

    read = read_arrays(tmp_path / "logits.npy")

    assert_same(read, {"logits": array})
    assert is_mapped(read["logits"])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_is_read_with_pickled_members(tmp_path: Path, save: Any) -> None:
    save(
        tmp_path / "x.npz", a=BASE, b=BASE.T, c=np.zeros((0, 2)), d={"e": [BASE, 1]}, f=[None, 1][1]
    )

    assert_same(
        read_arrays(tmp_path / "x.npz"),
        {"a": BASE, "b": BASE.T, "c": np.zeros((0, 2)), "d.e.0": BASE, "d.e.1": 1, "f": 1},
    )


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_of_an_npz_stay_in_the_file_unless_compressed(tmp_path: Path, save: Any) -> None:
    content = {"a": np.arange(50_000.0), "b": BASE.T, "c" * 100: BASE.astype(">i2")}
    save(tmp_path / "x.npz", **content)

    read = read_arrays(tmp_path / "x.npz")

    assert_same(read, content)
    assert {is_mapped(array) for array in read.values()} == {save is np.savez}


def test_a_byte_changed_in_a_mapped_npz_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.full(50_000, 7.0))
    data = bytearray((tmp_path / "x.npz").read_bytes())
    data[200_000] ^= 1
    (tmp_path / "x.npz").write_bytes(data)

    assert "CRC" in refusal(tmp_path / "x.npz").found


def test_safetensors_are_read_with_the_types_numpy_lacks_and_through_links(tmp_path: Path) -> None:
    arrays = {"a": BASE, "b": BASE.astype(ml_dtypes.bfloat16), "c": np.array(True)}
    save_file(arrays, tmp_path / "blob")
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "blob")

    read = read_arrays(tmp_path / "model.safetensors")

    assert_same({name: read[name] for name in arrays}, arrays)


def test_a_folder_of_npy_files_is_read_with_the_files_names(tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", BASE)
    np.save(tmp_path / "a.npy", np.ones(2))
    save_pickled(tmp_path / "step_0.npy", {"loss": 0.5})
    save_pickled(tmp_path / "step_1.npy", {"loss": 0.25})
    (tmp_path / "notes.txt").write_text("x")

    assert_same(
        read_arrays(tmp_path),
        {"a": np.ones(2), "b": BASE, "step_0.loss": 0.5, "step_1.loss": 0.25},
    )


def test_a_trace_gives_its_native_records_by_key(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path)
    writer.add(TensorKey(Kind.OUTPUT, "logits"), BASE)
    writer.add(TensorKey(Kind.OUTPUT, "logits", precision=Precision.FLOAT64), BASE.astype("f8"))
    writer.add(TensorKey(Kind.GRADIENT, "fc", "weight", iteration=3), BASE)
    writer.finish(INFO)

    assert_same(
        read_arrays(tmp_path), {"output logits": BASE, "gradient fc.weight iteration 3": BASE}
    )


def test_an_incomplete_trace_is_refused(tmp_path: Path) -> None:
    TraceWriter(tmp_path, shard_bytes=1).add(TensorKey(Kind.OUTPUT, "logits"), BASE)

    error = refusal(tmp_path)

    assert "stops after 1 records and has no manifest.json" in error.found
    assert "capture that side again" in error.do


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("absent.npy", "does not exist"),
        ("x.pdparams", "is of an unknown kind"),
        ("x.pkl", "is of an unknown kind"),
        ("folder", "holds no arrays"),
    ],
)
def test_what_is_none_of_these_is_refused_with_the_list_of_what_is(
    tmp_path: Path, name: str, says: str
) -> None:
    (tmp_path / "folder").mkdir()
    for file in ("x.pdparams", "x.pkl"):
        (tmp_path / file).write_bytes(pickle.dumps({"a": 1}))

    error = refusal(tmp_path / name)

    assert says in error.found
    if "unknown" in says:
        assert "a reprod_log dump or numpy file (.npy, .npz), a .safetensors file" in error.why


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({}, "holds no arrays"),
        ({"a": {}}, "'a' is an empty dict"),
        ({"a": "text"}, "'a' is a str, not an array"),
        ({"a": b"bytes"}, "'a' is a bytes, not an array"),
        ({"a": None}, "'a' is None, not an array"),
        ({"a": [1, None]}, "'a.1' is None, not an array"),
        ({"a": np.array(["text"])}, "is not numeric"),
        ({"a": np.zeros(2, "M8[s]")}, "is not numeric"),
        ({"a": np.zeros(2, "i4,f4")}, "is not numeric"),
        ({"a": np.empty((2, 2), dtype=object)}, "isn't one-dimensional"),
        ({"a": 2**70}, "'a' has integers beyond 64 bits"),
        ({"a": [10**400, 0.5]}, "can't be read"),
        ({"a": {"b": 1}, "a.b": 2}, "it holds 'a.b' twice"),
        ({1: 1, "1": 2}, "it holds '1' twice"),
        ({(1, 2): 1}, "has a tuple for a name"),
        ({"a": {1, 2}}, "asks for __builtin__.set"),
        (None, "'x' is None, not an array"),
    ],
)
def test_a_dict_that_holds_anything_but_arrays_is_refused(
    tmp_path: Path, content: object, says: str
) -> None:
    path = save_pickled(tmp_path / "x.npy", content, protocol=2)

    assert says in refusal(path).found
