"""Numpy files, archives and safetensors that were cut or forged: refused with a reason."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from test_foreign import BASE, HEADER, refusal


def header(descr: str, shape: str) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


NPY: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "can't be read"),
    "not_numpy": (b"hello, this is text", "magic string is not correct"),
    "bare_pickle": (pickle.dumps({"a": 1}), "can't be read"),
    "cut_magic": (b"\x93NUM", "can't be read"),
    "cut_header": (header("'<f4'", "(2,)")[:50], "header can't be read"),
    "cut_data": (header("'<f4'", "(2,)") + b"1234567", "promises 8 bytes for shape [2], 7 are"),
    "vast_shape": (header("'<f4'", "(2**3,)"), "header can't be read"),
    "lying_shape": (header("'<f4'", "(1000000, 1000000)") + b"1234", "promises 4000000000000"),
    "impossible_shape": (header("'<f4'", f"({2**60},)"), "impossible shape"),
    "negative_shape": (header("'<f4'", "(-1,)") + b"1234", "impossible shape"),
    "boolean_shape": (header("'<f4'", "(True,)") + b"1234", "impossible shape"),
    "many_dimensions": (header("'<f4'", f"({'1,' * 40})") + b"1234", "impossible shape"),
    "overflowing": (header("'<f4'", f"(0, {2**47}, {2**47})"), "can't be read"),
    "code": (header("__import__('os')", "()"), "header can't be read"),
    "unclosed": (header("(", "("), "header can't be read"),
    "text": (header("'<U2'", "(1,)") + b"12345678", "not numeric"),
    "structured": (header("[('a','<f4')]", "(1,)") + b"1234", "not numeric"),
    "structured_object": (header("[('a','|O')]", "(1,)") + b"1234", "not numeric"),
    "bf16_saved_by_numpy": (header("'<V2'", "(1,)") + b"12", "save such arrays as .safetensors"),
    "version_9": (b"\x93NUMPY\x09\x00v\x00", "version (9, 0)"),
    "cut_pickle": (HEADER + pickle.dumps(np.array({"a": BASE}, dtype=object))[:-9], "is broken"),
    "no_pickle": (HEADER, "its pickle is broken"),
}


@pytest.mark.parametrize("place", ["npy", "npz"])
@pytest.mark.parametrize("name", NPY)
def test_damaged_numpy_files_are_refused(tmp_path: Path, name: str, place: str) -> None:
    data, says = NPY[name]
    path = tmp_path / f"x.{place}"
    if place == "npy":
        path.write_bytes(data)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.npy", data)

    assert (says if place == "npy" or "promises" not in says else "promises") in refusal(path).found


def zipped(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


GOOD = header("'<f4'", "(1,)") + b"1234"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"PK", "not a zip file"),
        (zipped(("a.npy", GOOD))[:-30], "can't be read"),
        (zipped(("a.npy", GOOD)).replace(b"1234", b"1235"), "Bad CRC"),
        (zipped(("a.npy", GOOD), ("evil.py", b"x")), "member 'evil.py' is no array"),
        (zipped(("a.npy", GOOD), ("a", b"x")), "member 'a' is no array"),
        (zipped(), "holds no arrays"),
    ],
    ids=["no_zip", "cut", "changed", "other_member", "name_without_end", "empty"],
)
def test_damaged_archives_are_refused(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(data)

    assert says in refusal(path).found


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_an_archive_with_a_name_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(zipped(("a.npy", GOOD), ("a.npy", GOOD)))

    assert "holds 'a' twice" in refusal(tmp_path / "x.npz").found


@pytest.mark.parametrize(
    "data", [b"", b"\x10" + bytes(7), b"\2" + bytes(7) + b"{}extra", b"\xff" * 99]
)
def test_damaged_safetensors_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)

    assert "x.safetensors" in refusal(path).found


def test_a_damaged_trace_is_an_input_error_here(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")

    assert "is damaged" in refusal(tmp_path).found


def test_pipes_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.npy")

    assert "no plain file" in refusal(tmp_path / "x.npy").found
    assert "no plain file" in refusal(tmp_path).found
