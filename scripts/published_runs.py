"""Run one step of a published case, keep its report, and hold it against what it must end with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from portalign.records import Kind, Precision, Role
from portalign.store.sides import read_side
from published_cases import Run
from published_curves import curve_of, factor

ROOT = Path(__file__).resolve().parent.parent
WORDS = {0: "aligned", 1: "diverged", 2: "could not decide"}
MEMORY = 14e9  # bytes that a side of the full-size CTRL may take, from the project's issue
FACTOR = 5.0  # between ours and the published differences with random weights, likewise
# Rounding alone puts two faithful sides at distances whose ratio lies between 0.31 and 1.89
# (470 tensors of agreeing pairs): up to a factor of 2 nobody can say which is right.
TELLING = 2.0
Json = Any


@dataclass(frozen=True, slots=True)
class Ended:
    """What a run ended with, and what is wrong with that ("" if nothing).

    Attributes:
        distances: of both sides' logits to the reference's float64 twin, relative; empty where
            nobody asked.
    """

    run: Run
    exit_code: int
    report: Json
    seconds: float
    distances: tuple[float, ...]
    complaint: str


def folder_of(run: Run, logs: Path) -> Path:
    """Where a run's logs go."""
    return logs / f"{run.story}-{''.join(c if c.isalnum() else '-' for c in run.name)}"


def command_of(run: Run) -> list[str]:
    """What portalign is asked, as a user types it."""
    command = ["portalign", "step", run.step, "--port", run.port]
    for override in run.overrides:
        command += ["--set", override]
    return command


def ended(run: Run, logs: Path, pythons: dict[str, str], *, is_reused: bool) -> Ended:
    """Run it, or take what an earlier run left.

    Args:
        pythons: interpreters for LENS and OLD.
        is_reused: take a report of an earlier run where there is one.
    """
    folder = folder_of(run, logs)
    kept = folder / "ended.json"
    if not (is_reused and kept.is_file()):
        shutil.rmtree(folder, ignore_errors=True)
        start = time.perf_counter()
        done = subprocess.run(
            [*_command(run, pythons), "--logs", str(folder), "--quiet"],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            # numpy's own threads would wait for cores that the run beside this one has
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        seconds = time.perf_counter() - start
        step = next(folder.glob(f"*/{run.step}"), None)
        if step is None or not (step / "report.json").is_file():
            lacking = f"no report: {done.stderr[-300:]}"
            return Ended(run, done.returncode, {}, seconds, (), lacking)
        facts = {
            "exit_code": done.returncode,
            "seconds": seconds,
            "distances": _distances(step) if run.right else [],
        }
        for traces in ("weights", "graft", "reference", "candidate", "iterations"):  # up to 20 GB
            shutil.rmtree(step / traces, ignore_errors=True)
        kept.write_text(json.dumps(facts), encoding="utf-8")
    facts = json.loads(kept.read_text(encoding="utf-8"))
    report = json.loads(next(folder.glob(f"*/{run.step}/report.json")).read_text(encoding="utf-8"))
    one = Ended(run, facts["exit_code"], report, facts["seconds"], tuple(facts["distances"]), "")
    return Ended(run, one.exit_code, report, one.seconds, one.distances, complaint(one))


def said(report: Json) -> Iterator[str]:
    """What the report gives as reasons, causes first."""
    for finding in report["findings"]:
        if finding["kind"] != "unexplained":
            yield finding["claim"]
    for reservation in report["reservations"]:
        yield reservation["text"]


def nearer(distances: Sequence[float]) -> str:
    """Which side is the nearer to the float64 reference: "reference", "candidate", "neither", or
    "unknown" where one isn't finite.
    """
    reference, candidate = distances
    if not np.isfinite(distances).all():
        return "unknown"
    if candidate >= TELLING * reference:
        return "reference"
    return "candidate" if reference >= TELLING * candidate else "neither"


def _command(run: Run, pythons: dict[str, str]) -> list[str]:
    command = [sys.executable, "-m", *command_of(run)]
    for name, python in pythons.items():
        command = [word.replace(f"={name}", f"={python}") for word in command]
    return command


def _distances(step: Path) -> list[float]:
    """How far both sides' logits are from the reference's float64 twin, relative."""
    found = {}
    for role in Role:
        for record in read_side(step, role).records:
            if record.key.kind is Kind.OUTPUT and record.key.path == "logits":
                found[role, record.key.precision] = np.asarray(record.array, np.float64)
    exact = found[Role.REFERENCE, Precision.FLOAT64]
    natives = (found[role, Precision.NATIVE] for role in Role)
    return [float(np.linalg.norm(each - exact) / np.linalg.norm(exact)) for each in natives]


def complaint(one: Ended) -> str:
    """What is not as it must be."""
    run, report = one.run, one.report
    if one.exit_code != run.exit_code:
        return f"WRONG: {WORDS.get(one.exit_code, one.exit_code)}, not {WORDS[run.exit_code]}"
    places = [*report["divergence"]["origins"], *report["divergence"]["unresolved"]]
    if run.begins and not any(run.begins in place for place in places):
        return f"WRONG: begins at {places[:1]}, not at {run.begins}"
    reasons = " ".join(said(report))
    if missing := [cause for cause in run.causes if cause not in reasons]:
        return f"WRONG: nothing says {missing[0]!r}"
    if run.causes and any(each["kind"] == "unexplained" for each in report["findings"]):
        return "WRONG: an origin is unexplained"
    if run.right and nearer(one.distances) != run.right:
        return f"WRONG: the nearer side is {nearer(one.distances)}, not {run.right}"
    return _complaint_on_size(one) if run.experiment else ""


def _complaint_on_size(one: Ended) -> str:
    """What is not as it must be in a run of the full-size CTRL."""
    curve, experiment = curve_of(one.report), one.run.experiment
    if not (worst := factor(curve, experiment)) <= FACTOR and experiment.startswith("random"):
        return f"WRONG: a layer differs from the published one by a factor of {worst:.1f}"
    if not (curve[1] < curve[24] < curve[47] and 2 * curve[48] < curve[47]):
        return "WRONG: the differences don't grow with the depth and collapse at the last norm"
    if experiment.endswith("copied") and curve[0] != 0.0:
        return "WRONG: with the copied table hidden state 0 differs"
    peak = max(side["peak_memory_bytes"] for side in one.report["sides"])
    return "" if peak <= MEMORY else f"WRONG: {peak / 1e9:.1f} GB of memory"
