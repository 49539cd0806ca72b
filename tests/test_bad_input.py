"""What goes wrong before or while the sides run: exit code 2, said in a porter's words, nothing lost.

The first half runs the command line; in the second one child process captures many broken ports.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import stat
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portalign.cli import main
from portalign.records import Role, Step
from tiny_ports import (
    DATA,
    ENTRIES,
    HEAD,
    MODEL,
    SOURCE,
    Said,
    assert_explained,
    capture_all,
    complaint,
    portalign,
    write_port,
)

pytestmark = pytest.mark.end_to_end

WIDE = MODEL.replace("nn.Linear(3, 4)", "nn.Linear(3, 4_000)").replace("Linear(4,", "Linear(4_000,")
PADDLE = """
import paddle

def build(settings):
    return paddle.nn.Linear(3, 2)
"""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Port file of a port in a folder with spaces, its forward step captured and concluded."""
    file = write_port(tmp_path_factory.mktemp("a good port") / "my port")
    capture_all([file], Step.FORWARD)
    with pytest.raises(SystemExit) as ended:
        main([*arguments(file), "--rejudge"])
    assert ended.value.code == 0
    return file


@pytest.fixture
def ran(good: Path, tmp_path: Path) -> Path:
    """A port file of its own with an aligned forward step under ``logs``."""
    folder = tmp_path / "my port"
    shutil.copytree(good.parent, folder)
    return folder / "port.yaml"


def arguments(file: Path) -> list[str]:
    """The forward step with the logs beside the port file."""
    return ["step", "forward", "--port", str(file), "--logs", str(file.parent / "logs")]


def step(file: Path, capsys: pytest.CaptureFixture[str], *more: str) -> Said:
    """Run the forward step in this process."""
    return portalign(capsys, *arguments(file), *more)


def rejudge(file: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    """Conclude the forward step again."""
    return step(file, capsys, "--rejudge")


def results(file: Path) -> dict[str, bytes]:
    """Every result of the port's forward step: captures, report, dumps and log."""
    logs = file.parent / "logs" / "tiny"
    kept = [*logs.glob("*.*"), *(logs / "forward").rglob("*")]
    return {
        str(p.relative_to(logs)): p.read_bytes()
        for p in kept
        if p.is_file() and ".failed" not in str(p)
    }


def wrapper(folder: Path, text: str) -> str:
    """An interpreter for `python:`: a shell script that does something first."""
    script = folder / "interpreter.sh"
    script.write_text("#!/bin/sh\n" + text.format(python=sys.executable, folder=folder))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(script)


def side(role: str, **more: str) -> dict[str, str]:
    """A side's entry with more in it."""
    added = "".join(f", {key}: {json.dumps(value)}" for key, value in more.items())
    return {role: ENTRIES[role].replace("}", f"{added}}}")}


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


# Sides that don't come to their end.


def test_a_build_that_raises_leaves_the_earlier_run_as_it_was(
    ran: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = results(ran)
    broken = HEAD.replace("return Model()", 'raise ValueError("no weights here")') + MODEL
    (ran.parent / "candidate.py").write_text(broken)

    said = step(ran, capsys)

    assert_explained(said, "[candidate, forward]", "ValueError: no weights here", "candidate.py, line 7")
    assert results(ran) == before
    checked = portalign(capsys, "check", "--port", str(ran), "--logs", str(ran.parent / "logs"))
    assert checked.code == 2
    assert "forward.failed" in checked.all


@pytest.mark.parametrize("role", Role)
def test_a_side_killed_half_way_ends_the_step_and_loses_nothing(
    ran: Path, capsys: pytest.CaptureFixture[str], role: Role
) -> None:
    before = results(ran)
    killed = "import os, signal\n" + MODEL.replace(
        "        return", "        os.kill(os.getpid(), signal.SIGKILL)\n        return"
    )
    (ran.parent / f"{role.value}.py").write_text(HEAD + killed)

    said = step(ran, capsys)

    assert_explained(said, f"the {role.value}'s process was ended by SIGKILL", "twin=off")
    assert results(ran) == before
    assert (ran.parent / "logs" / "tiny" / "forward.failed" / "weights" / "reference").is_dir()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_an_interrupted_run_leaves_no_process_and_no_loss(
    ran: Path, tmp_path: Path, number: signal.Signals
) -> None:
    before = results(ran)
    ran.write_text(
        ran.read_text()
        .replace(ENTRIES["reference"], side("reference", python="./interpreter.sh")["reference"])
        .replace(ENTRIES["candidate"], side("candidate", python="./interpreter.sh")["candidate"])
    )
    wrapper(ran.parent, 'echo $$ >> "{folder}/pids"; {python} "$@"\n')
    hangs = f"import os, time; print(os.getpid(), file=open({str(ran.parent / 'pids')!r}, 'a'))"
    hangs = HEAD.replace("return Model()", f"{hangs}; time.sleep(1000)") + MODEL
    (ran.parent / "reference.py").write_text(hangs)
    script = SOURCE.parent / "steps" / "step1_forward.py"
    command = [sys.executable, str(script), *arguments(ran)[2:]]
    running = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    pids = _wait_for_pids(ran.parent / "pids", n_pids=3)

    running.send_signal(number)
    out, err = running.communicate(timeout=30)

    assert_explained(Said(running.returncode, out, err), "interrupted", "run the step again")
    assert results(ran) == before
    assert all(_is_gone(pid) for pid in pids)


def _wait_for_pids(file: Path, *, n_pids: int) -> list[int]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if file.is_file() and len(found := file.read_text().split()) == n_pids:
            return [int(pid) for pid in found]
        time.sleep(0.05)
    raise AssertionError(f"{file} doesn't name {n_pids} processes")


def _is_gone(pid: int) -> bool:
    """Whether a process has ended, be it that nobody has asked for its end yet."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        state = subprocess.run(
            ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
        ).stdout
        if not state.strip() or state.startswith("Z"):
            return True
        time.sleep(0.05)
    return False


INTERPRETERS = {
    "without the framework": (
        "PYTHONPATH={folder}/empty:$PYTHONPATH exec {python} \"$@\"",
        "torch can't be imported by this interpreter",
    ),
    "without numpy": ("exec {python} -S \"$@\"", "No module named 'numpy'"),
    "that is no Python": (
        "echo 'what?'",
        "the reference's process ended with code 0 and left no complete trace: what?",
    ),
    "that can't be started": ("", "can't be started"),
    "on a full disk": ("ulimit -f 20; exec {python} \"$@\"", "File too large"),
}


@pytest.mark.parametrize("name", INTERPRETERS)
def test_an_interpreter_that_can_not_run_the_side_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    text, word = INTERPRETERS[name]
    folder = tmp_path / "port"
    entries = side("reference", python="./interpreter.sh")
    file = write_port(folder, reference=WIDE, entries=entries)
    wrapper(folder, text)
    if not text:
        (folder / "interpreter.sh").write_text("#!/no/such/shell\n")
    (folder / "empty").mkdir()
    (folder / "empty" / "torch.py").write_text("raise ImportError('no torch here')\n")

    assert_explained(step(file, capsys), word)


# Captures that were damaged afterwards.


def test_a_truncated_shard_is_refused(ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for shard in (ran.parent / "logs" / "tiny" / "forward" / "candidate").glob("shard-*"):
        os.truncate(shard, shard.stat().st_size // 2)

    assert_explained(rejudge(ran, capsys), "is damaged", "shard-00000.safetensors")


@pytest.mark.parametrize("trace", ["reference", "candidate", "weights/reference"])
def test_a_trace_without_its_manifest_proves_nothing(
    ran: Path, capsys: pytest.CaptureFixture[str], trace: str
) -> None:
    (ran.parent / "logs" / "tiny" / "forward" / trace / "manifest.json").unlink()

    assert_explained(rejudge(ran, capsys), "no manifest", "run the step again")


def test_a_step_that_never_ran_can_not_be_judged_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_explained(rejudge(write_port(tmp_path / "port"), capsys), "holds no trace")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99}'])
def test_a_broken_report_is_an_error_of_its_step(
    ran: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (ran.parent / "logs" / "tiny" / "forward" / "report.json").write_text(text)

    said = portalign(capsys, "check", "--port", str(ran), "--logs", str(ran.parent / "logs"))

    assert said.code == 2
    assert "report.json" in said.all
    assert "Traceback" not in said.all


def test_a_malicious_pickle_among_the_dumps_is_never_run(
    ran: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trap = ran.parent / "ran"

    class Calls:
        def __reduce__(self) -> Any:
            return os.system, (f"touch '{trap}'",)

    for dump in ran.parent.joinpath("logs", "tiny").rglob("*.npy"):
        np.save(dump, np.array(Calls(), dtype=object), allow_pickle=True)
    for shard in ran.parent.joinpath("logs", "tiny", "forward").rglob("shard-*"):
        shard.write_bytes(pickle.dumps(Calls()))

    assert_explained(rejudge(ran, capsys), "is damaged")
    assert not trap.exists()


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
        {"reference": PADDLE, "entries": {"candidate": ENTRIES["candidate"].replace("torch", "paddle")}},
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
        {"entries": side("reference") | {"reference": ENTRIES["reference"][:-1] + ", inputs: {x: y}}"}},
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
