"""Capture every row of the matrix in few child processes: importing a framework is the dear part.

The references run first, each once; the rows of one architecture, step and setting share its trace
by links. Then the candidates of both frameworks run side by side, two processes at a time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from faults.row import Row
from portalign.config import Port, load_port
from portalign.records import Role, Step
from portalign.stages.exchange import INPUTS
from portalign.store.layout import DRAWS, ITERATIONS, PROBE, WEIGHTS

HERE = Path(__file__).parent
LOW = ("bfloat16", "float16")
_IDLE = ("_in_bfloat16", "_through_bfloat16")
_SHARED = (
    INPUTS,
    DRAWS,
    Role.REFERENCE.value,
    f"{WEIGHTS}/{Role.REFERENCE.value}",
    f"{ITERATIONS}/{Role.REFERENCE.value}",
    f"{PROBE}/{INPUTS}",
    f"{PROBE}/{Role.REFERENCE.value}",
)


@dataclass(frozen=True, slots=True)
class Case:
    """A row with one candidate framework, resolved: its port and its folder."""

    row: Row
    framework: str
    port: Port
    folder: Path

    @property
    def step(self) -> Step:
        """Which step finds it."""
        return Step(self.row.step)

    @property
    def label(self) -> str:
        """How the table names it."""
        return f"{self.row.arch} {self.row.name} torch->{self.framework}"


def cases(rows: Iterable[Row], folder: Path, *, dtype: str) -> list[Case]:
    """Every row with every framework that can make it.

    In low precision paddle candidates are left out, for paddle 3.3.1 can't multiply matrices of it
    on the CPU, and so are faults that round to bfloat16: what already is doesn't change by it. In
    float64 they are left out too, for they build their models in float32.
    """
    found = []
    for row in rows:
        for framework in row.frameworks:
            if dtype != "float32" and framework == "paddle":
                continue
            if dtype in LOW and row.name.endswith(_IDLE):
                continue
            own = folder / f"{row.arch}-{row.step}-{row.name}-{framework}"
            found.append(Case(row, framework, _port(row, framework, dtype), own))
    return found


def capture(everything: list[Case], folder: Path) -> None:
    """Run all sides of all cases; what each needs to be concluded lies in its folder afterwards."""
    shared: dict[str, Path] = {}
    orders: list[Path] = []
    for case in everything:
        key = _reference_key(case)
        if key not in shared:
            shared[key] = folder / f"reference-{len(shared)}"
            orders.append(_order(case, Role.REFERENCE, shared[key]))
    _run_all([orders[::2], orders[1::2]])
    candidates: dict[str, list[Path]] = defaultdict(list)
    for case in everything:
        _link(shared[_reference_key(case)], case.folder)
        candidates[case.framework].append(_order(case, Role.CANDIDATE, case.folder))
    groups = list(candidates.values())
    _run_all(groups if len(groups) > 1 else [groups[0][::2], groups[0][1::2]])


def _port(row: Row, framework: str, dtype: str) -> Port:
    overrides = [
        f"candidate.framework={framework}",
        f"candidate.build={row.arch}_{framework}.py:build",
        f"settings.fault={row.fault}",
        f"settings.dtype={dtype}",
        *(text.replace("FRAMEWORK", framework) for text in row.overrides),
    ]
    return load_port(HERE / f"{row.arch}.yaml", overrides)


def _reference_key(case: Case) -> str:
    """Equal where the reference is asked for the same: its request without the folder and the
    fault."""
    request = json.loads(case.port.request(Role.REFERENCE, case.step, Path("/")).to_json())
    del request["settings"]["fault"]
    return json.dumps(request, sort_keys=True)


def _order(case: Case, role: Role, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    order = folder / f"{role.value}.request.json"
    order.write_text(case.port.request(role, case.step, folder).to_json(), encoding="utf-8")
    return order


def _link(reference: Path, folder: Path) -> None:
    for name in _SHARED:
        if not (reference / name).exists():
            continue
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((reference / name).resolve(), target_is_directory=True)


def _run_all(groups: list[list[Path]]) -> None:
    """Run groups of orders at the same time, each in one process; what they print goes beside the
    first order."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    children = []
    for orders in filter(None, groups):
        log = orders[0].with_suffix(".log").open("wb")
        command = [sys.executable, "-W", "ignore", "-m", "portalign.capture", *map(str, orders)]
        children.append(
            (subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment), log)
        )
    for child, log in children:
        child.wait()
        log.close()
