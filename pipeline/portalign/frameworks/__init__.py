"""Frameworks by name. Nothing is imported until a side asks for its framework."""

from __future__ import annotations

from importlib import import_module

from portalign.errors import CaptureError
from portalign.frameworks.base import Framework

_PLACES = {
    "torch": ("portalign.frameworks.pytorch", "PyTorch"),
    "paddle": ("portalign.frameworks.paddlepaddle", "PaddlePaddle"),
}
NAMES = tuple(_PLACES)


def load(name: str) -> Framework:
    """Import the framework called `name` ("torch", "paddle") and return its verbs.

    Raises:
        CaptureError: the name is unknown or the framework can't be imported here.
    """
    if name not in _PLACES:
        raise CaptureError(
            f"framework {name!r} is unknown; known: {', '.join(_PLACES)}",
            why="portalign has no verbs for it",
            do="correct `framework:` in the port file",
        )
    module, cls = _PLACES[name]
    try:
        framework: Framework = getattr(import_module(module), cls)()
    except ImportError as err:
        raise CaptureError(
            f"{name} can't be imported by this interpreter: {err}",
            why="this side runs in it",
            do=f"install it here (pip install 'portalign[{name}]'), or name another interpreter "
            "with `python:` in the port file",
        ) from err
    return framework
