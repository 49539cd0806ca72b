"""Many captures by two child processes: importing the frameworks is what a step mostly costs.

Both children get the same requests in the same order; each candidate waits in its step's folder for
what its reference hands over, so the two stay side by side. Concluding needs no framework and
happens here, by the same function that a step calls.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

import portalign
from portalign.conclude import conclude
from portalign.config import Port, load_port
from portalign.records import Role, Step
from portalign.report.document import step_document
from portalign.report.text import render
from portalign.results import Divergence, StepReport

PLANTED = Path(__file__).parent / "planted"
LIMIT_SECONDS = 1200.0  # a guard against hanging; on a loaded machine 30 captures took 400 s
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(portalign.__file__).parents[1]),
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One step of one port, planted or shipped: `overrides` are texts as for ``--set``."""

    step: Step
    overrides: tuple[str, ...] = ()
    port: str = "bert"


@dataclass(frozen=True, slots=True)
class Result:
    """What a step says and what it would print."""

    report: StepReport
    text: str

    @property
    def exit_code(self) -> int:
        return self.report.outcome.exit_code

    @property
    def begins_at(self) -> tuple[str, ...]:
        """The places where differences begin, as the report names them."""
        return places(self.report.divergence)


def places(divergence: Divergence) -> tuple[str, ...]:
    return (*divergence.origins, *divergence.unresolved)


def run_all(cases: Mapping[str, Case], folder: Path) -> dict[str, Result]:
    """Capture every case in one pair of processes, then conclude each."""
    orders: dict[Role, list[str]] = {role: [] for role in Role}
    for name, case in cases.items():
        place = folder / name.replace(" ", "_")
        place.mkdir(parents=True)
        port = _port(case)
        for role in Role:
            request = replace(port.request(role, case.step, place), threads=1)
            order = place / f"{role.value}.request.json"
            order.write_text(request.to_json(), encoding="utf-8")
            orders[role].append(str(order))
    _capture(orders, folder)
    return {name: _result(case, folder / name.replace(" ", "_")) for name, case in cases.items()}


def _result(case: Case, place: Path) -> Result:
    port = _port(case)
    report = conclude(port, case.step, place).report
    printed = io.StringIO()
    render(step_document(report), Console(file=printed, width=150))
    return Result(report, printed.getvalue())


def _capture(orders: Mapping[Role, list[str]], folder: Path) -> None:
    """Run both children; the first that fails ends the other, which would wait for it."""
    running = {}
    logs = {role: folder / f"{role.value}.log" for role in Role}
    deadline = time.monotonic() + LIMIT_SECONDS
    try:
        for role, files in orders.items():
            with logs[role].open("wb") as log:
                running[role] = subprocess.Popen(
                    [sys.executable, "-m", "portalign.capture", *files],
                    env=ENVIRONMENT,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
        while any(process.poll() is None for process in running.values()):
            failed = list(folder.glob("*/*.error.json"))
            assert not failed, failed[0].read_text(encoding="utf-8")
            assert time.monotonic() < deadline, f"no end after {LIMIT_SECONDS} s: see {folder}"
            time.sleep(0.05)
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    for role, process in running.items():
        assert process.returncode == 0, logs[role].read_text(encoding="utf-8", errors="replace")


def _port(case: Case) -> Port:
    planted = PLANTED / case.port / "port.yaml"
    return load_port(planted if planted.is_file() else case.port, case.overrides)
