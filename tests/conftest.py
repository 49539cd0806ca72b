"""Options and marks of the whole suite: which tests need a framework is read from their imports."""

from __future__ import annotations

import ast
import os
from functools import cache
from pathlib import Path

import pytest

# Before anything imports numpy: files run side by side, and threads of BLAS that wait for a busy
# core take a multiple of what one alone does.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_FRAMEWORKS = {"torch", "paddle", "transformers", "reprod_log"}
_LEFT_OUT = ("browser", "end_to_end", "framework", "slow")  # marks; `make check` has no browser
_CAPTURES = ("portalign.frameworks.pytorch", "portalign.frameworks.paddlepaddle")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--framework-free``, which `make check` uses."""
    parser.addoption(
        "--framework-free",
        action="store_true",
        help="leave out test files that import a framework, run whole steps or open a browser",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Don't even import what ``--framework-free`` leaves out."""
    if not config.getoption("--framework-free") or collection_path.suffix != ".py":
        return None
    text = collection_path.read_text(encoding="utf-8")
    left_out = any(f"pytest.mark.{mark}" in text for mark in _LEFT_OUT)
    return True if left_out or _imports_framework(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of every file that imports a framework."""
    for item in items:
        if _imports_framework(item.path):
            item.add_marker(pytest.mark.framework)


@cache
def _imports_framework(path: Path) -> bool:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.importorskip":
            names |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return any(
        name.partition(".")[0] in _FRAMEWORKS or name.startswith((*_CAPTURES, "portalign.ports."))
        for name in names
    )
