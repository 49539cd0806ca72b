"""Sides that don't come to their end, and captures damaged later: exit code 2, nothing lost."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portalign.cli import main
from portalign.records import Role, Step
from tiny_ports import (
    ENTRIES,
    HEAD,
    MODEL,
    SOURCE,
    Said,
    arguments,
    assert_explained,
    capture_all,
    portalign,
    side,
    step,
    wrapper,
    write_port,
)

pytestmark = pytest.mark.end_to_end

WIDE = MODEL.replace("nn.Linear(3, 4)", "nn.Linear(3, 4_000)").replace("Linear(4,", "Linear(4_000,")


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


# Sides that don't come to their end.


def test_a_build_that_raises_leaves_the_earlier_run_as_it_was(
    ran: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = results(ran)
    broken = HEAD.replace("return Model()", 'raise ValueError("no weights here")') + MODEL
    (ran.parent / "candidate.py").write_text(broken)

    said = step(ran, capsys)

    assert_explained(
        said, "[candidate, forward]", "ValueError: no weights here", "candidate.py, line 7"
    )
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
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text() if Path("/proc/self").exists() else ""
        except (ProcessLookupError, FileNotFoundError):
            return True
        if state.rpartition(")")[2].strip().startswith("Z"):
            return True
        time.sleep(0.05)
    return False


INTERPRETERS = {
    "without the framework": (
        'PYTHONPATH={folder}/empty:$PYTHONPATH exec {python} "$@"',
        "torch can't be imported by this interpreter",
    ),
    "without numpy": ('exec {python} -S "$@"', "No module named 'numpy'"),
    "that is no Python": (
        "echo 'what?'",
        "the reference's process ended with code 0 and left no complete trace: what?",
    ),
    "that can't be started": ("", "can't be started"),
    "on a full disk": ('ulimit -f 20; exec {python} "$@"', "File too large"),
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
