"""What a model is made of, as one hash: its classes, the files that define them, their settings.

Two sides with one hash are one model however many build functions lead to it, and a model compared
with itself always agrees. Weights are left out: the candidate gets the reference's anyway.
"""

from __future__ import annotations

import hashlib
import inspect
from functools import reduce
from pathlib import Path

from portalign.frameworks.base import Model
from portalign.records import Structure
from portalign.stages.described import described

# Of every module in torch or paddle: its inner modules and weights, told elsewhere or left out.
_REGISTERED = ("_modules", "_sub_layers", "_parameters", "_buffers")


def fingerprint(model: Model, structure: Structure) -> str:
    """SHA-256 over every module's path, class, source file and attributes.

    Returns "" where no class is the porter's own (a bare ``Sequential``): equal stacks of the
    framework's own modules may well be two honest models.
    """
    lines, has_own = [], False
    for path in (module.path for module in structure.modules):
        module = reduce(getattr, path.split("."), model) if path else model
        cls = type(module)
        is_own = cls.__module__.partition(".")[0] not in ("torch", "paddle")
        has_own |= is_own
        settings = sorted(
            (name, described(value))
            for name, value in vars(module).items()
            if name not in _REGISTERED
        )
        lines.append(f"{path} {cls.__qualname__} {_source(cls) if is_own else ''} {settings}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest() if has_own else ""


def _source(cls: type) -> str:
    """Hash of the file that defines a class; its module's name where there is no file."""
    try:
        return hashlib.sha256(Path(inspect.getfile(cls)).read_bytes()).hexdigest()
    except (OSError, TypeError):
        return cls.__module__
