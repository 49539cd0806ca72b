"""Lets `python steps/<step>.py` work from any folder and with any Python.

A step needs portalign with its dependencies, and this checkout's portalign at that. If the Python
that was typed hasn't got it, the one that `make setup` made takes over.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).absolute().parent.parent
_VENV_PYTHON = ROOT / ".venv" / "bin" / "python"
_GUARD = "PORTALIGN_STEP_RESTARTED"  # set while the .venv runs: it must not restart itself


def run(step: str) -> None:
    """Run one step with the arguments of the command line, and exit with its code."""
    problem = _problem()
    if not problem:
        os.environ.pop(_GUARD, None)
        from portalign.cli import step_main

        step_main(step, default_logs=ROOT / "logs")
    if _VENV_PYTHON.is_file() and _GUARD not in os.environ:
        os.environ[_GUARD] = "1"
        sys.stdout.flush()
        os.execv(_VENV_PYTHON, [str(_VENV_PYTHON), *sys.argv])
    print(
        f"{problem}\n"
        f"  why it stops us: the {step} step is part of portalign in {ROOT}\n"
        f"  what to do:      make -C '{ROOT}' setup",
        file=sys.stderr,
    )
    sys.exit(2)


def _problem() -> str:
    """Why this Python can't run a step; "" if it can."""
    if sys.version_info < (3, 10):  # noqa: UP036 - a step runs under whatever Python was typed
        return f"{sys.executable} is Python {sys.version.split()[0]}; portalign needs 3.10"
    spec = find_spec("portalign")
    if spec is None or spec.origin is None:
        return f"{sys.executable} has no portalign"
    if not Path(spec.origin).resolve().is_relative_to(ROOT.resolve()):
        return f"{sys.executable} has another portalign: {spec.origin}"
    try:
        import portalign.cli  # noqa: F401 - tells whether the dependencies are there
    except ModuleNotFoundError as err:
        return f"{sys.executable} lacks {err.name}"
    return ""
