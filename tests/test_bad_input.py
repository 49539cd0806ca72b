"""Port files and functions of a port that are wrong: exit code 2, said in a porter's words.

The first half runs the command line; in the second one child process captures many broken ports.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from portalign.records import Role, Step
from tiny_ports import (
    DATA,
    ENTRIES,
    MODEL,
    assert_explained,
    capture_all,
    complaint,
    portalign,
    side,
    step,
    write_port,
)

pytestmark = pytest.mark.end_to_end

PADDLE = """
import paddle

def build(settings):
    return paddle.nn.Linear(3, 2)
"""


# Port files and folders: no side is started.

PORT_FILES = {
    "a misspelt key": ("iteratons: 3\n", "iterations"),
    "a broken line": ("settings: {size: [1, 2\n", "port.yaml"),
    "a wrong type": ("seed: many\n", "seed"),
    "no such interpreter": (
        "candidate: {framework: torch, build: candidate.py:build, python: no/such/python}\n",
        "no program 'no/such/python'",
    ),
    "a function that isn't there": (
        "candidate: {framework: torch, build: candidate.py:biuld}\n",
        "build",
    ),
    "a framework that isn't known": (
        "candidate: {framework: tensorflow, build: candidate.py:build}\n",
        "framework",
    ),
}


@pytest.mark.parametrize("name", PORT_FILES)
def test_a_mistake_in_the_port_file_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    line, word = PORT_FILES[name]
    file = write_port(tmp_path / "port")
    key = line.partition(":")[0]
    kept = [old for old in file.read_text().splitlines(True) if not old.startswith(f"{key}:")]
    file.write_text("".join(kept) + line)

    assert_explained(step(file, capsys), word)


def test_a_traceback_is_shown_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = step(tmp_path / "nothing.yaml", capsys, "--debug")

    assert said.code == 2
    assert "Traceback" in said.err
    assert "what to do:" in said.err


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "just words\n", "\x00\x01"])
def test_a_port_file_without_a_port_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "port.yaml"
    file.write_text(text)

    assert_explained(step(file, capsys), "port.yaml")


def test_a_file_in_the_place_of_the_logs_folder_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_port(tmp_path / "port")
    (tmp_path / "port" / "logs").write_text("mine")

    assert_explained(step(file, capsys), "logs", "--logs")
    assert (tmp_path / "port" / "logs").read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder no one may write to")
def test_a_logs_folder_that_can_not_be_written_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_port(tmp_path / "port")

    said = portalign(capsys, "step", "forward", "--port", str(file), "--logs", "/proc/self")

    assert_explained(said, "/proc/self", "--logs")


# Functions of a port that break their contract: one process captures them all.

FIELD = 'yield {{"x": {x}, "labels": np.zeros(4, dtype=np.int64)}}'
REFERENCE_FAULTS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "build returns no model": (
        {"reference": MODEL + "\ndef build(settings):\n    return {}\n"},
        ("build returned builtins.dict, not torch.nn.Module",),
    ),
    "build leaves Python": (
        {"reference": MODEL + "\ndef build(settings):\n    raise SystemExit(0)\n"},
        ("raised SystemExit",),
    ),
    "a file that can't be imported": (
        {"reference": "import no_such_package\n" + MODEL},
        ("importing", "No module named 'no_such_package'"),
    ),
    "no batch": ({"data": "def batches(settings):\n    return []\n"}, ("yielded no batch",)),
    "batches is no iterable": (
        {"data": "def batches(settings):\n    return None\n"},
        ("data.py:batches raised TypeError", "not iterable"),
    ),
    "batches raises": (
        {"data": "def batches(settings):\n    yield from open('no file')\n"},
        ("raised FileNotFoundError", "data.py, line 2", "at batch 0"),
    ),
    "a batch is a tuple": (
        {"data": "def batches(settings):\n    yield 1, 2\n"},
        ("yielded tuple as batch 0", "dict of field name -> numpy array"),
    ),
    "a field is a list": (
        {"data": DATA.replace('"x": x', '"x": x.tolist()')},
        ("field 'x' of batch 0 is list",),
    ),
    "a field holds objects": (
        {"data": DATA.replace('"x": x', '"x": x.astype(object)')},
        ("field 'x' of batch 0 is dtype object",),
    ),
    "a field holds texts": (
        {"data": DATA.replace('"x": x', '"x": x.astype(str)')},
        ("field 'x' of batch 0 is dtype <U",),
    ),
}
if find_spec("paddle"):
    REFERENCE_FAULTS["swapped sides"] = (
        {
            "reference": PADDLE,
            "entries": {"candidate": ENTRIES["candidate"].replace("torch", "paddle")},
        },
        ("build returned paddle.nn", "not torch.nn.Module", "`framework:`"),
    )
FAULTS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "a field the model doesn't take": (
        {"data": DATA.replace('"x": x', '"x": x, "mask": x')},
        (
            "the batch gives x, mask to the model, but Model.forward takes (x): got an unexpected",
            "`inputs: {model argument: batch field}` of the reference",
            "`labels:`",
        ),
    ),
    "a field the model lacks": (
        {"data": DATA.replace('"x": x', '"images": x')},
        ("missing a required argument: 'x'", "`inputs: {model argument: batch field}`"),
    ),
    "inputs names no field": (
        {"entries": {"reference": ENTRIES["reference"].replace("}", ", inputs: {x: y}}")}},
        ("`inputs:` of the reference names y, the batch has x, labels",),
    ),
    "a TypeError of the model's own": (
        {"reference": MODEL.replace("self.first(x)", "self.first(x + 'one')")},
        ("Model raised TypeError", "reference.py, line ", "x float32 [4, 3]"),
    ),
    "fields of different lengths": (
        {"data": DATA.replace("size=4", "size=3")},
        ("the loss raised ValueError", "batch_size (4)"),
    ),
    "fields of a wrong width": (
        {"data": DATA.replace("(4, 3)", "(4, 5)")},
        ("Model raised RuntimeError", "x float32 [4, 5]"),
    ),
    "a loss of many numbers": (
        {"reference": MODEL + "\ndef loss(outputs, batch):\n    return outputs['logits']\n"},
        ("loss returned", "[4, 2]"),
    ),
    "a loss that raises": (
        {"reference": MODEL + "\ndef loss(outputs, batch):\n    return outputs['nothing']\n"},
        ("raised KeyError: 'nothing'", "reference.py, line "),
    ),
    "a loss without a graph": (
        {"reference": MODEL + "\ndef loss(outputs, batch):\n    return torch.tensor(1.0)\n"},
        ("backward from the loss raised RuntimeError", "does not require grad"),
    ),
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Port files of all faults, their reference captured in the backward step."""
    folder = tmp_path_factory.mktemp("broken")
    files = {}
    for name, (case, _) in {**REFERENCE_FAULTS, **FAULTS}.items():
        parts: dict[str, Any] = dict(case)
        if "def loss" in parts.get("reference", ""):
            parts["entries"] = {"loss": "{torch: reference.py:loss}"}
        files[name] = write_port(folder / name, **parts)
    capture_all(list(files.values()), Step.BACKWARD, roles=[Role.REFERENCE])
    return files


@pytest.mark.parametrize("name", [*REFERENCE_FAULTS, *FAULTS])
def test_a_function_that_breaks_its_contract_is_told(broken: dict[str, Path], name: str) -> None:
    words = {**REFERENCE_FAULTS, **FAULTS}[name][1]

    error = complaint(broken[name], Step.BACKWARD)

    assert error is not None
    assert error.why
    assert error.do
    text = " ".join(str(error).split())
    assert "[reference, backward]" in text
    for word in words:
        assert word in text


def test_batches_that_differ_in_length_are_a_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = side("candidate", batches="short.py:batches")
    file = write_port(tmp_path / "port", entries=entries)
    (file.parent / "short.py").write_text(DATA.replace("range(2)", "range(1)"))
    capture_all([file], Step.METRIC)

    said = portalign(
        capsys, "step", "metric", "--port", str(file), "--logs", f"{file.parent}/logs", "--rejudge"
    )

    assert said.code == 1, said.all
    assert "length" in said.all
