"""Pickles made to harm: nothing in them is run, and each is refused with a reason."""

from __future__ import annotations

import os
import pickle
import random
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portalign.errors import InputError
from portalign.foreign import read_arrays
from test_foreign import BASE, HEADER, NESTED, refusal, save_pickled


class Calls:
    """Pickles into a call of `function` with `arguments`."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


class Inherits(np.ndarray[Any, Any]):
    """A porter's own kind of array: harmless, but rebuilding it would import their module."""


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("place", ["npy", "npz", "folder"])
def test_a_pickle_that_calls_the_shell_is_refused_by_name_and_not_run(
    tmp_path: Path, protocol: int, place: str
) -> None:
    ran = tmp_path / "ran"
    folder = tmp_path / "dumps"
    folder.mkdir()
    bad = {"logits": BASE, "x": Calls(os.system, f"touch {ran}")}
    path = save_pickled(folder / "forward_paddle.npy", bad, protocol=protocol)
    if place == "npz":
        data, path = path.read_bytes(), folder / "x.npz"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.npy", data)

    error = refusal(folder if place == "folder" else path)

    assert not ran.exists()
    assert f"its pickle asks for {os.system.__module__}.system" in error.found
    assert "would run code" in error.why
    assert ".safetensors" in error.do


def test_the_shell_pickle_would_have_run_in_numpy(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    path = save_pickled(tmp_path / "x.npy", {"x": Calls(os.system, f"touch {ran}")})

    np.load(path, allow_pickle=True)

    assert ran.exists()


def named(module: str, name: str) -> bytes:
    """Protocol 4 opcodes that push a global, dotted names included."""
    return b"".join(
        b"\x8c" + len(text).to_bytes(1, "little") + text.encode() for text in (module, name)
    ) + (b"\x93")


@pytest.mark.parametrize(
    "name",
    [
        "builtins.eval",
        "builtins.getattr",
        "builtins.object",
        "builtins.bytearray",
        "collections.OrderedDict",
        "copyreg._reconstructor",
        "functools.partial",
        "operator.attrgetter",
        "numpy.load",
        "numpy.memmap",
        "numpy.ndarray.tofile",
        "numpy.dtype.__init__",
        "numpy.core.multiarray._reconstruct.__globals__",
        "numpy._core.multiarray.fromfile",
        "numpy._core._internal._ctypes",
        "numpy.testing._private.utils.runstring",
        "ml_dtypes.finfo",
        "portalign.foreign.unpickler._StandIn",
        "torch._utils._rebuild_tensor_v2",
        "nothing.at_all",
    ],
)
def test_every_other_global_is_refused_and_not_even_imported(tmp_path: Path, name: str) -> None:
    parts = name.split(".")
    was_loaded = "torch" in sys.modules
    for split in range(1, len(parts)):
        module, inner = ".".join(parts[:split]), ".".join(parts[split:])
        path = tmp_path / f"{split}.npy"
        path.write_bytes(HEADER + b"\x80\x04" + named(module, inner) + b")R.")

        assert f"its pickle asks for {name}" in refusal(path).found
    assert ("torch" in sys.modules) is was_loaded


RECONSTRUCT = (
    named("numpy._core.multiarray", "_reconstruct")
    + named("numpy", "ndarray")
    + b"K\0\x85C\1b\x87R"
)
F8 = named("numpy", "dtype") + b"\x8c\x02f8\x89\x88\x87R"
OBJECT = named("numpy", "dtype") + b"\x8c\x02O8\x89\x88\x87R"
V8 = named("numpy", "dtype") + b"\x8c\x02V8\x89\x88\x87R"
ONE = b"K\1\x85"  # the shape (1,)
EIGHT = b"C\x08AAAAAAAA"

CRAFTED: dict[str, tuple[bytes, str]] = {
    # numpy itself would follow AAAAAAAA as a pointer once object fields are hidden from it
    "dtype_with_hidden_object_fields": (
        RECONSTRUCT
        + b"(K\1" + ONE
        + F8 + b"(K\3\x8c\1|N\x8c\1a\x85}\x8c\1a" + OBJECT + b"K\0\x86sK\x08K\1K\0tb"
        + b"\x89" + EIGHT + b"tb",
        "a dtype has fields",
    ),
    "void_dtype": (V8, "dtype 'V8' is not numeric"),
    "dtype_state_with_subarray": (
        F8 + b"(K\3\x8c\1<" + OBJECT + ONE + b"\x86NNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb",
        "a dtype has fields",
    ),
    "dtype_from_a_dict": (
        named("numpy", "dtype") + b"}\x8c\5names\x8c\1a\x85s\x85R",
        "is not numeric",
    ),
    "dtype_c1_is_a_string": (named("numpy", "dtype") + b"\x8c\2c1\x85R", "c1"),
    "dtype_f3": (named("numpy", "dtype") + b"\x8c\2f3\x85R", "its pickle is broken"),
    "objects_from_bytes": (
        RECONSTRUCT + b"(K\1" + ONE + OBJECT + b"\x89" + EIGHT + b"tb",
        "isn't one-dimensional",
    ),
    "scalar_object_from_bytes": (
        named("numpy._core.multiarray", "scalar") + OBJECT + EIGHT + b"\x86R",
        "objects are to be read from bytes",
    ),
    "buffer_of_objects": (
        named("numpy._core.numeric", "_frombuffer") + b"(" + EIGHT + OBJECT + ONE + b"\x8c\1CtR",
        "objects are to be read from bytes",
    ),
    "more_shape_than_bytes": (
        RECONSTRUCT + b"(K\1J\0\0\0\x7f\x85" + F8 + b"\x89" + EIGHT + b"tb",
        "has 8 bytes",
    ),
    "negative_shape": (
        RECONSTRUCT + b"(K\1J\xff\xff\xff\xff\x85" + F8 + b"\x89" + EIGHT + b"tb",
        "no proper shape",
    ),
    "bad_axes": (
        named("numpy._core.numeric", "_frombuffer")
        + b"(" + EIGHT + F8 + ONE + b"\x8c\1K" + b"K\7\x85tR",
        "AxisError",
    ),
    "array_from_a_list_of_numbers": (
        RECONSTRUCT + b"(K\1" + ONE + F8 + b"\x89]K\1atb",
        "isn't made of bytes",
    ),
    "array_state_is_a_dict": (RECONSTRUCT + b"}b", "no proper state"),
    "array_without_state": (RECONSTRUCT, "is None, not an array"),
    "array_that_holds_itself": (
        RECONSTRUCT + b"\x94(K\1)" + OBJECT + b"\x89]h\0atb",
        "holds too much, or holds itself",
    ),
    "dtype_as_value": (b"}\x8c\1a" + F8 + b"s", "is a Dtype, not an array"),
    "global_as_value": (named("numpy", "dtype"), "is a StandIn, not an array"),
    "state_for_a_stand_in": (named("numpy", "dtype") + b"}\x8c\5_makeNsb", "isn't its own"),
    "slots_for_a_stand_in": (
        named("numpy", "dtype") + b"N}\x8c\5_makeNs\x86b",
        "isn't its own",
    ),
    "new_array": (named("numpy", "ndarray") + b")\x81", "its pickle is broken"),
    "called_array": (named("numpy", "ndarray") + b"K\5\x85R", "an array is made by"),
    "called_array_twice": (RECONSTRUCT + b")R", "its pickle is broken"),
    "attribute_of_a_list": (b"]}\x8c\1aK\1sb", "its pickle is broken"),
    "codec": (
        named("_codecs", "encode") + b"\x8c\1x\x8c\3hex\x86R",
        "bytes aren't written as latin1",
    ),
    "persistent": (b"\x8c\1xQ", "its pickle is broken"),
    "extension": (b"\x82\1", "its pickle is broken"),
    "out_of_band": (b"\x97", "its pickle is broken"),
    "list_that_holds_itself": (b"]\x94h\0a", "holds too much, or holds itself"),
    "billion_laughs": (
        b"]\x94K\1a" + b"".join(b"]\x94(" + b"h%c" % i * 10 + b"e" for i in range(20)),
        "holds too much",
    ),
    "stack_underflow": (b"R", "its pickle is broken"),
    "vast_length": (b"\x8e" + (2**60).to_bytes(8, "little"), "its pickle is broken"),
    "tuple_too_deep_to_hash": (b"})" + b"\x85" * 200_000 + b"K\1s", "has a tuple for a name"),
    "dict_with_a_tuple_too_deep_to_hash": (
        b"()" + b"\x85" * 200_000 + b"K\1d", "has a tuple for a name",
    ),
    "items_with_a_tuple_too_deep_to_hash": (
        b"}()" + b"\x85" * 200_000 + b"K\1u", "has a tuple for a name",
    ),
    "tuple_too_deep": (b")" + b"\x85" * 200_000, "holds too much"),
    "set": (b"\x8f", "its pickle is broken"),
    "vast_bytearray": (b"\x96" + (2**60).to_bytes(8, "little"), "its pickle is broken"),
    "nothing": (b"", "its pickle is broken"),
}  # fmt: skip


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_pickles_are_refused(tmp_path: Path, name: str) -> None:
    opcodes, says = CRAFTED[name]
    path = tmp_path / "x.npy"
    path.write_bytes(HEADER + b"\x80\x05" + opcodes + b".")

    assert says in refusal(path).found
    assert read_arrays(save_pickled(tmp_path / "good.npy", {"a": BASE}))  # nothing was left changed


def test_the_crafting_blocks_make_a_good_array_when_used_rightly(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(
        HEADER + b"\x80\x05" + RECONSTRUCT + b"(K\1" + ONE + F8 + b"\x89" + EIGHT + b"tb."
    )

    assert read_arrays(path)["x"].tobytes() == b"AAAAAAAA"


def test_a_subclass_of_ndarray_is_refused_by_name(tmp_path: Path) -> None:
    path = save_pickled(tmp_path / "x.npy", {"a": BASE.view(Inherits)})

    assert f"asks for {__name__}.Inherits" in refusal(path).found


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_random_damage_never_gets_past_the_reader(tmp_path: Path, protocol: int) -> None:
    path = save_pickled(tmp_path / "x.npy", NESTED, protocol=protocol)
    good, chance = path.read_bytes(), random.Random(protocol)
    n_refused = 0
    for _ in range(1500):
        bad = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            bad[chance.randrange(len(bad))] = chance.randrange(256)
        path.write_bytes(bad[: chance.randint(len(bad) // 2, len(bad))])
        try:
            read_arrays(path)
        except InputError:
            n_refused += 1

    assert n_refused > 1000  # the rest changed a number or a name
