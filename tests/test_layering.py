"""Imports go one way, frameworks stay where they belong, and a file of 300 lines is full.

Each rule is a function of a source tree, so that its twin can break it in a made-up tree.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "pipeline"

# Layer of each part. A part may import its own layer and those named for it below.
LAYERS = {
    "facts": {"", "errors", "findings", "records", "results", "request"},
    "ground": {"config", "equivalents", "foreign", "inputs", "mapping", "store"},
    "capture": {"capture", "frameworks", "functions", "recorder", "stages"},
    "analysis": {"compare", "diagnose", "report"},
    "runner": {"captured", "conclude", "processes", "runner"},
    "cli": {"__main__", "cli", "commands", "publishing", "terminal"},
    "ports": {"ports"},
}
MAY_IMPORT = {
    "facts": {"facts"},
    "ground": {"facts", "ground"},
    "capture": {"facts", "ground", "capture"},
    "analysis": {"facts", "ground", "analysis"},
    "runner": {"facts", "ground", "capture", "analysis", "runner"},
    "cli": {"facts", "ground", "capture", "analysis", "runner", "cli"},
    "ports": {"facts", "ports"},
}
ANALYSIS_ORDER = ("compare", "diagnose", "report")  # each may import those before it

# Who may import what comes from outside. reprod_log imports paddle, so only a file that a child
# process runs names it, within a function.
HOMES = {
    "torch": ("portalign.frameworks.pytorch", "torch_side"),
    "transformers": ("portalign.frameworks.pytorch", "torch_side"),
    "torchmetrics": ("portalign.frameworks.pytorch", "torch_side"),
    "paddle": ("portalign.frameworks.paddlepaddle", "paddle_side"),
    "reprod_log": ("portalign.report._reprod_child", "portalign.report._reprod_child"),
}
FRAMEWORKS = sorted(HOMES)
NOT_IN_A_CHILD = ["pydantic", "yaml", "rich", "typer", "psutil", "jinja2", "plotly"]


def modules(source: Path) -> dict[str, Path]:
    """Dotted name of every module of the package, and its file."""
    found = {}
    for path in sorted(source.glob("portalign/**/*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: set[str]) -> Iterator[str]:
    """Modules a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in known else base


def part(module: str) -> str:
    """First name below portalign; "" for portalign itself."""
    return module.partition(".")[2].partition(".")[0]


def layer(module: str) -> str | None:
    """The layer of one of our modules."""
    return next((name for name, parts in LAYERS.items() if part(module) in parts), None)


def wrong_directions(source: Path) -> list[str]:
    """Imports of ours that point upward, in words."""
    files, wrong = modules(source), []
    for module, path in files.items():
        here = layer(module)
        if here is None:
            wrong.append(f"{module} belongs to no layer: add {part(module)!r} to LAYERS")
            continue
        for target in sorted(set(imports(path, set(files)))):
            if target.startswith("."):
                wrong.append(f"{module} imports relatively: {target}")
            if target.partition(".")[0] != "portalign":
                continue
            if layer(target) not in MAY_IMPORT[here]:
                wrong.append(f"{module} ({here}) imports {target} ({layer(target)})")
            if here == "analysis" and part(target) in ANALYSIS_ORDER:
                order = ANALYSIS_ORDER.index
                if order(part(target)) > order(part(module)):
                    wrong.append(f"{module} imports {target}, which comes after it")
    return wrong


def misplaced_frameworks(source: Path) -> list[str]:
    """Imports of a framework from where it doesn't belong."""
    files, wrong = modules(source), []
    for module, path in files.items():
        for target in imports(path, set(files)):
            home = HOMES.get(target.partition(".")[0])
            if home and not (f"{module}.".startswith(f"{home[0]}.") or module.endswith(home[1])):
                wrong.append(f"{module} imports {target}")
    return wrong


def import_without(source: Path, names: list[str], blocked: list[str]) -> str:
    """Import modules in a fresh interpreter where other modules can't be had; "" or the error."""
    script = (
        "import importlib, sys\n"
        f"sys.path.insert(0, {str(source)!r})\n"
        f"sys.modules.update(dict.fromkeys({blocked!r}))\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    return done.stderr if done.returncode else ""


def in_layers(source: Path, *layers: str) -> list[str]:
    """Modules of these layers that can be imported without doing anything."""
    return [m for m in modules(source) if layer(m) in layers and not m.endswith("__main__")]


def full_files(root: Path) -> list[str]:
    """Files that hold more than 300 lines."""
    paths = [
        p for folder in ("pipeline", "steps", "scripts") for p in root.glob(f"{folder}/**/*.py")
    ]
    counts = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sorted(paths)}
    return [f"{path.relative_to(root)}: {n}" for path, n in counts.items() if n > 300]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small package with every layer, where all is right."""
    for name, text in {
        "": "",
        "records": "import numpy",
        "store": "from portalign import records",
        "compare": "import portalign.store",
        "report": "from portalign import compare",
        "frameworks/__init__": "from portalign import store",
        "frameworks/pytorch": "import torch",
        "stages": "from portalign.frameworks import pytorch",
        "runner": "from portalign import report, stages",
    }.items():
        write(tmp_path, name or "__init__", text)
    return tmp_path


def write(source: Path, name: str, text: str) -> None:
    path = source / "portalign" / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def test_imports_point_downward_only() -> None:
    assert wrong_directions(SOURCE) == []


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("records", "import portalign.store", "portalign.records (facts) imports portalign.store"),
        ("store", "from portalign import runner", "portalign.store (ground) imports"),
        ("compare", "def f():\n    from portalign import stages", "portalign.compare (analysis)"),
        ("compare", "from portalign.report import x", "portalign.report, which comes after it"),
        ("stages", "from portalign.compare import x", "portalign.stages (capture) imports"),
        ("compare", "from . import store", "portalign.compare imports relatively"),
        ("helpers", "", "portalign.helpers belongs to no layer"),
        ("runner", "import portalign.nowhere", "imports portalign.nowhere (None)"),
    ],
)
def test_an_import_that_points_upward_is_found(tree: Path, name: str, text: str, said: str) -> None:
    assert wrong_directions(tree) == []

    write(tree, name, text)

    assert any(said in each for each in wrong_directions(tree))


def test_frameworks_are_imported_at_home_only() -> None:
    assert misplaced_frameworks(SOURCE) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("compare", "import torch"),
        ("report", "def f():\n    from paddle.nn import Layer"),
        ("frameworks/pytorch", "import paddle"),
        ("frameworks/pytorch_more", "import torch"),
        ("stages", "import torch.nn"),
        ("ports/bert/torch_side", "import paddle"),
        ("report", "import reprod_log"),
    ],
)
def test_a_framework_away_from_home_is_found(tree: Path, name: str, text: str) -> None:
    assert misplaced_frameworks(tree) == []

    write(tree, name, text)

    assert len(misplaced_frameworks(tree)) == 1


def test_analysis_and_ground_need_no_framework() -> None:
    names = in_layers(SOURCE, "facts", "ground", "analysis", "runner", "cli")

    assert {"portalign.config", "portalign.records"} <= set(names)
    assert import_without(SOURCE, names, FRAMEWORKS) == ""


def test_a_capture_process_needs_no_pydantic_yaml_or_terminal() -> None:
    names = [
        name
        for name in in_layers(SOURCE, "facts", "capture")
        if not name.startswith(("portalign.frameworks.pytorch", "portalign.frameworks.paddle"))
    ]

    assert {"portalign.capture", "portalign.frameworks.base"} <= set(names)
    assert import_without(SOURCE, names, [*NOT_IN_A_CHILD, *FRAMEWORKS]) == ""


def test_a_module_that_needs_what_is_blocked_is_found(tree: Path) -> None:
    write(tree, "compare", "import yaml")

    assert import_without(tree, ["portalign.compare"], FRAMEWORKS) == ""
    assert "import of yaml halted" in import_without(tree, ["portalign.compare"], NOT_IN_A_CHILD)


def test_the_frameworks_of_the_port_file_are_those_that_exist() -> None:
    from typing import get_args

    from portalign.config import Side
    from portalign.frameworks import NAMES

    assert get_args(Side.model_fields["framework"].annotation) == NAMES


def test_no_file_is_over_full() -> None:
    assert full_files(ROOT) == []


def test_an_over_full_file_is_found(tmp_path: Path) -> None:
    write(tmp_path / "pipeline", "store", "x = 1\n" * 300)  # `write` ends it with one more
    assert full_files(tmp_path) == ["pipeline/portalign/store.py: 301"]
