"""Porters' functions: references are resolved, and whatever breaks in a porter's file is named."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from portalign.errors import CaptureError
from portalign.functions import call_function, load_function, source_sha256


def _write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_function_of_a_file_is_loaded_with_its_siblings(tmp_path: Path) -> None:
    _write(tmp_path, "portalign_sibling_of_test.py", "FACTOR = 3\n")
    text = "from portalign_sibling_of_test import FACTOR\ndef fn(x):\n    return FACTOR * x\n"
    path = _write(tmp_path, "side.py", text)
    before = list(sys.path)

    assert load_function(f"{path}:fn")(2) == 6
    assert sys.path == before


def test_a_function_of_a_package_is_loaded() -> None:
    assert load_function("json.decoder:JSONDecoder").__module__ == "json.decoder"


def test_equally_named_files_of_two_ports_do_not_meet(tmp_path: Path) -> None:
    first = _write(tmp_path / "a", "torch_side.py", "def build():\n    return 'a'\n")
    second = _write(tmp_path / "b", "torch_side.py", "def build():\n    return 'b'\n")

    assert call_function(f"{first}:build") == "a"
    assert call_function(f"{second}:build") == "b"


def test_two_references_into_one_file_share_its_module_until_it_changes(tmp_path: Path) -> None:
    path = _write(
        tmp_path, "side.py", "seen = []\ndef f():\n    return seen\ndef g():\n    return seen\n"
    )
    assert call_function(f"{path}:f") is call_function(f"{path}:g")

    path.write_text("def f():\n    return 'new'\n", encoding="utf-8")

    assert call_function(f"{path}:f") == "new"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("import portalign_no_such_module\n", "ModuleNotFoundError", id="import"),
        pytest.param("def fn(:\n", "SyntaxError", id="syntax"),
        pytest.param("raise RuntimeError('boom')\n", "boom", id="raises"),
        pytest.param("import sys\nsys.exit(3)\n", "SystemExit: 3", id="exits"),
        pytest.param("def other():\n    pass\n", "it has: other", id="another name"),
        pytest.param("fn = 3\n", "a int, not a function", id="no function"),
        pytest.param("fn = None\n", "has no function 'fn'", id="none"),
    ],
)
def test_a_broken_file_is_an_error_that_names_it(tmp_path: Path, text: str, said: str) -> None:
    path = _write(tmp_path, "side.py", text)

    with pytest.raises(CaptureError) as caught:
        load_function(f"{path}:fn")

    assert said in caught.value.found
    assert str(path) in caught.value.found
    assert not [name for name in sys.modules if name.startswith("portalign_user_") and said in name]


def test_a_broken_file_can_be_mended_and_loaded_in_the_same_process(tmp_path: Path) -> None:
    path = _write(tmp_path, "side.py", "raise RuntimeError\n")
    with pytest.raises(CaptureError):
        load_function(f"{path}:fn")

    path.write_text("def fn():\n    return 1\n", encoding="utf-8")

    assert call_function(f"{path}:fn") == 1


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("side.py", "doesn't name a function"),
        (":fn", "doesn't name a function"),
        ("side.py:", "doesn't name a function"),
        ("side.py:a b", "doesn't name a function"),
        ("/no/such/folder/side.py:fn", "can't be read: No such file"),
        ("portalign_no_such_package.side:fn", "can't be imported"),
    ],
)
def test_a_reference_to_nothing_is_an_error(reference: str, said: str) -> None:
    for resolve in (load_function, source_sha256):
        with pytest.raises(CaptureError, match=said):
            resolve(reference)


def test_what_a_function_raises_is_told_with_its_line(tmp_path: Path) -> None:
    path = _write(tmp_path, "side.py", "def fn(settings):\n    return settings['size']\n")

    with pytest.raises(CaptureError) as caught:
        call_function(f"{path}:fn", {})

    assert caught.value.found == f"{path}:fn raised KeyError: 'size' ({path}, line 2)"
    assert isinstance(caught.value.__cause__, KeyError)


def test_the_source_hash_is_that_of_the_file(tmp_path: Path) -> None:
    path = _write(tmp_path, "side.py", "def fn():\n    pass\n")
    expected = hashlib.sha256(path.read_bytes()).hexdigest()

    assert source_sha256(f"{path}:fn") == expected

    path.write_text("def fn():\n    return 1\n", encoding="utf-8")
    assert source_sha256(f"{path}:fn") != expected


def test_the_source_hash_of_a_package_is_that_of_its_module() -> None:
    origin = sys.modules["portalign.functions"].__file__

    assert origin is not None
    assert source_sha256("portalign.functions:load_function") == (
        hashlib.sha256(Path(origin).read_bytes()).hexdigest()
    )


def test_a_built_in_module_has_no_source_to_hash() -> None:
    with pytest.raises(CaptureError, match="'sys'"):
        source_sha256("sys:exit")
