"""Ports of a few lines, written to order and captured many at a time: torch is imported once.

A model is a source text whose `Model` both sides build; the candidate's file differs by a comment,
so that it isn't taken for the reference itself.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from portalign.cli import main
from portalign.config import load_port
from portalign.errors import PortalignError, error_from_facts
from portalign.records import Role, Step

SOURCE = Path(__file__).parent.parent / "pipeline"

HEAD = """
import torch
from torch import nn

def build(settings):
    torch.manual_seed(0)
    return Model()
"""
# The models here use what both frameworks name alike, so one text serves them.
PADDLE_HEAD = """
import paddle as torch
from paddle import nn

nn.Module = nn.Layer

def build(settings):
    torch.seed(0)
    return Model()
"""
MODEL = """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.last = nn.Linear(4, 2)

    def forward(self, x):
        return {"logits": self.last(torch.tanh(self.first(x)))}
"""
DATA = """
import numpy as np

def batches(settings):
    random = np.random.default_rng(0)
    for _ in range(2):
        x = random.normal(size=(4, 3)).astype(np.float32)
        yield {"x": x, "labels": random.integers(0, 2, size=4)}
"""
ENTRIES = {
    "reference": "{framework: torch, build: reference.py:build}",
    "candidate": "{framework: torch, build: candidate.py:build}",
    "batches": "data.py:batches",
    "loss": "cross_entropy",
    "optimizer": "{name: sgd, lr: 0.1}",
    "metrics": "[accuracy]",
    "iterations": "2",
    "threads": "1",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What a command ended with."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        """Everything it printed, its spaces and line breaks as one space."""
        return " ".join(f"{self.out} {self.err}".split())


def write_port(
    folder: Path,
    *,
    reference: str = MODEL,
    candidate: str | None = None,
    data: str = DATA,
    entries: Mapping[str, str] | None = None,
    framework: str = "torch",
    candidate_framework: str = "",
) -> Path:
    """Write a port into a folder and return its port file.

    Args:
        reference: source of the reference's `Model`; the framework's head stands in front of it.
        candidate: the same for the candidate; default: the reference's.
        data: source of `batches`.
        entries: entries of the port file as YAML text, added to `ENTRIES` or in their place.
        framework: of both sides, unless `candidate_framework` names another for one.
    """
    folder.mkdir(parents=True)
    names = (framework, candidate_framework or framework)
    ours, theirs = (HEAD if name == "torch" else PADDLE_HEAD for name in names)
    (folder / "reference.py").write_text(ours + reference)
    (folder / "candidate.py").write_text(theirs + (candidate or reference) + "\n# the port\n")
    (folder / "data.py").write_text(data)
    sides = {
        role.value: ENTRIES[role.value].replace("torch", name)
        for role, name in zip(Role, names, strict=True)
    }
    lines = {"name": "tiny", **ENTRIES, **sides, **(entries or {})}
    file = folder / "port.yaml"
    file.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
    return file


def mixed(file: Path) -> Path:
    """Let the candidate of a written torch port be paddle's; returns the port file."""
    text = file.read_text()
    file.write_text(text.replace("candidate: {framework: torch", "candidate: {framework: paddle"))
    candidate = file.parent / "candidate.py"
    candidate.write_text(candidate.read_text().replace(HEAD, PADDLE_HEAD))
    return file


def step_folder(file: Path, step: Step) -> Path:
    """Where `capture_all` puts the captures of a port."""
    return file.parent / "logs" / load_port(file).name / step.value


def capture_all(ports: Sequence[Path], step: Step, *, roles: Sequence[Role] = tuple(Role)) -> None:
    """Capture all ports in one process, one after the other.

    Args:
        roles: leave out the candidate where the reference fails early: it would wait for it.
    """
    orders = []
    for file in ports:
        folder = step_folder(file, step)
        folder.mkdir(parents=True)
        for role in roles:
            orders.append(folder / f"{role.value}.request.json")
            orders[-1].write_text(load_port(file).request(role, step, folder).to_json())
    with (ports[0].parent / "captures.log").open("wb") as log:
        subprocess.run(
            [sys.executable, "-m", "portalign.capture", *map(str, orders)],
            env={**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=log,
            timeout=900.0,  # a guard against hanging; on a loaded machine 70 captures took 150 s
            check=False,
        )


def complaint(file: Path, step: Step) -> PortalignError | None:
    """What the first side that failed said; None if both ended well."""
    for role in Role:
        path = step_folder(file, step) / f"{role.value}.error.json"
        if path.is_file():
            return error_from_facts(json.loads(path.read_text()))
    return None


def portalign(capsys: pytest.CaptureFixture[str], *arguments: str) -> Said:
    """Run the command line in this process."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr()
    return Said(int(ended.value.code or 0), said.out, said.err)


def arguments(file: Path) -> list[str]:
    """Arguments of the forward step with the logs beside the port file."""
    return ["step", "forward", "--port", str(file), "--logs", str(file.parent / "logs")]


def step(file: Path, capsys: pytest.CaptureFixture[str], *more: str) -> Said:
    """Run the forward step in this process."""
    return portalign(capsys, *arguments(file), *more)


def assert_explained(said: Said, *words: str) -> None:
    """Exit code 2, and a message with what, why and what next, without a traceback."""
    assert said.code == 2, said.all
    assert said.err.startswith("portalign: "), said.all
    assert "why it stops us:" in said.err
    assert "what to do:" in said.err
    assert "Traceback" not in said.all
    for word in words:
        assert word in said.all


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
