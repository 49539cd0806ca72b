"""Run both sides of a step, each in its own process with its own interpreter, and watch over them.

The candidate waits for what the reference hands over (`stages.exchange`); here is only who starts,
who is ended when the other fails, and what a dead process means.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from portalign.capture import error_file
from portalign.errors import CaptureError, PortalignError, error_from_facts
from portalign.records import Role
from portalign.request import CaptureRequest
from portalign.store.layout import MANIFEST

_POLL_SECONDS = 0.05
_LOW_DISK_BYTES = 2**20  # less than this and a side can't even write down what went wrong
_PACKAGE_PARENT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Side:
    """One side about to run: its order and the interpreter that carries it out."""

    request: CaptureRequest
    python: str


@dataclass(frozen=True, slots=True)
class Beat:
    """How far a running side is."""

    role: Role
    seconds: float
    captured_bytes: int
    is_running: bool


def run_sides(sides: tuple[Side, ...], on_beat: Callable[[Beat], None]) -> None:
    """Run all sides to their end.

    Args:
        sides: reference first.
        on_beat: called for every side several times a second.

    Raises:
        PortalignError: the first error a side reported; the other side is ended, what both captured
            stays.
    """
    start = time.monotonic()
    running: dict[Role, subprocess.Popen[bytes]] = {}
    try:
        for side in sides:
            running[side.request.role] = _start(side)
        while running:
            for side in sides:
                process = running.get(side.request.role)
                if process is None:
                    continue
                code = process.poll()
                seconds = time.monotonic() - start
                on_beat(Beat(side.request.role, seconds, _captured(side), code is None))
                if code is None:
                    continue
                del running[side.request.role]
                if code != 0 or not (side.request.side_folder() / MANIFEST).is_file():
                    _end(process)  # what it started itself may live on
                    raise _failure(side, code)
            time.sleep(_POLL_SECONDS)
    finally:
        for process in running.values():
            _end(process)


def log_file(request: CaptureRequest) -> Path:
    """What a side printed, traceback included."""
    return Path(request.folder) / f"{request.role.value}.log"


def _start(side: Side) -> subprocess.Popen[bytes]:
    """Start a side as the head of its own process group, to be ended with all it started."""
    order = Path(side.request.folder) / f"{side.request.role.value}.request.json"
    command = [side.python, "-m", "portalign.capture", str(order)]
    try:
        order.write_text(side.request.to_json(), encoding="utf-8")
        log = log_file(side.request).open("wb")
    except OSError as err:
        raise CaptureError(
            f"{err.filename or order} can't be written: {err.strerror}",
            why="a side takes its order from there",
            do="make room, or name another folder with --logs",
        ) from err
    try:
        with log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(side.request.threads, os.environ),
                start_new_session=True,
            )
    except OSError as err:
        raise CaptureError(
            f"{side.python} can't be started: {err.strerror or err}",
            why=f"the {side.request.role.value} runs in it",
            do="correct `python:` in the port file",
        ) from err


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # nothing of its group is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _environment(threads: int, base: Mapping[str, str]) -> dict[str, str]:
    paths = [str(_PACKAGE_PARENT), *filter(None, [base.get("PYTHONPATH")])]
    environment = {
        **base,
        "PYTHONPATH": os.pathsep.join(paths),
        "TOKENIZERS_PARALLELISM": "false",
        "NVIDIA_TF32_OVERRIDE": "0",  # paddle has no switch of its own; torch's is set as well
        "HF_HUB_OFFLINE": base.get("HF_HUB_OFFLINE", "1"),
    }
    if threads:
        environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    return environment


def _captured(side: Side) -> int:
    folder = side.request.side_folder()
    try:
        return sum(entry.stat().st_size for entry in folder.glob("shard-*.safetensors"))
    except OSError:  # a shard was renamed between listing and looking
        return 0


def _failure(side: Side, code: int) -> PortalignError:
    request, log = side.request, log_file(side.request)
    with suppress(OSError, ValueError, KeyError):  # absent, or cut off by a full disk
        return error_from_facts(json.loads(error_file(request).read_text(encoding="utf-8")))
    if code > 128 or code < 0:  # a wrapper script passes the death of its child on as 128 + signal
        number = code - 128 if code > 0 else -code
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        return CaptureError(
            f"the {request.role.value}'s process was ended by {name}",
            why="its trace is incomplete, and an incomplete trace proves nothing",
            do="if memory ran out (SIGKILL), try `--set parallel=off` or `--set twin=off`; then "
            "run the step again",
        )
    tail = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    free = shutil.disk_usage(log.parent).free
    return CaptureError(
        f"the {request.role.value}'s process ended with code {code} and left no complete trace: "
        f"{' '.join(tail) or 'it printed nothing'}",
        why="an incomplete trace proves nothing",
        do=f"check `python:` of the {request.role.value}, which must be a Python with its "
        f"framework, numpy and safetensors, and read {log.name} in the step's folder"
        if free > _LOW_DISK_BYTES
        else f"make room: {free} bytes are free on the disk of {log.parent}",
    )


def default_python() -> str:
    """The interpreter a side runs in when the port names none."""
    return sys.executable
