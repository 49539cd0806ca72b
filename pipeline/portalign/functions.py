"""Porters' own functions: how "/abs/file.py:fn" and "package.module:fn" become something to call.

Everything that goes wrong in a porter's file leaves here as a CaptureError that names the file and
the line, so a typo in a build function never ends in a traceback through portalign.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from portalign.errors import CaptureError, PortalignError

Function = Callable[..., Any]

_LIBRARIES = frozenset({"site-packages", "dist-packages"})


def load_function(reference: str) -> Function:
    """Load the function a reference names.

    A file is imported under a module name of its own, made of its path and content, with its folder
    first on ``sys.path`` while it is being imported; so files called ``torch_side.py`` in two ports
    don't meet. Modules beside it must be imported at the top of the file, not inside a function.

    Args:
        reference: "/abs/file.py:fn" or "package.module:fn".

    Raises:
        CaptureError: malformed reference, no such file or module, an import that fails, no such
            function.
    """
    place, name = _split(reference)
    module = _from_file(Path(place)) if _is_file(place) else _from_package(place)
    function = getattr(module, name, None)
    if function is None:
        names = sorted(
            key for key, value in vars(module).items() if callable(value) and key[0] != "_"
        )
        raise CaptureError(
            f"{place} has no function {name!r}; it has: {', '.join(names) or 'none'}",
            why=f"{reference!r} was to be called",
            do=f"define {name} there, or correct the name in the port file",
        )
    if not callable(function):
        raise CaptureError(
            f"{name} in {place} is a {type(function).__name__}, not a function",
            why=f"{reference!r} was to be called",
            do="name a function in the port file",
        )
    loaded: Function = function
    return loaded


def call_function(reference: str, *arguments: object) -> Any:
    """Load a porter's function and call it.

    Raises:
        CaptureError: it can't be loaded, or it raised; what it raised is the cause.
    """
    function = load_function(reference)
    try:
        return function(*arguments)
    except PortalignError:
        raise
    except (Exception, SystemExit) as err:
        raise CaptureError(
            f"{reference} raised {describe(err)}",
            why="portalign needs what it returns",
            do="call that function by itself to see its whole traceback",
        ) from err


def source_sha256(reference: str) -> str:
    """SHA-256 of the file that defines the referenced function, as hexadecimal text.

    Raises:
        CaptureError: malformed reference, or there is no such file.
    """
    place, _ = _split(reference)
    if _is_file(place):
        return hashlib.sha256(_read(Path(place))).hexdigest()
    try:
        spec = importlib.util.find_spec(place)
    except (ImportError, ValueError) as err:
        raise _no_module(place, err) from err
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise _no_module(place, None)
    return hashlib.sha256(_read(Path(spec.origin))).hexdigest()


def _split(reference: str) -> tuple[str, str]:
    place, colon, name = reference.rpartition(":")
    if not colon or not place or not name.isidentifier():
        raise CaptureError(
            f"{reference!r} doesn't name a function",
            why="portalign needs a file or module and a function in it",
            do='write "file.py:function" or "package.module:function" in the port file',
        )
    return place, name


def _is_file(place: str) -> bool:
    return place.endswith(".py") or "/" in place or "\\" in place


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        raise CaptureError(
            f"{path} can't be read: {err.strerror or err}",
            why="a function in it was to be called",
            do="correct the path in the port file",
        ) from err


def _from_file(path: Path) -> ModuleType:
    path = path.resolve()
    digest = hashlib.sha256(str(path).encode() + b"\0" + _read(path)).hexdigest()
    name = f"portalign_user_{path.stem}_{digest[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise CaptureError(
            f"{path} is not a Python file",
            why="a function in it was to be called",
            do="name a .py file in the port file",
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look their module up there
    try:
        with _first_on_path(path.parent):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as err:
        del sys.modules[name]
        raise CaptureError(
            f"importing {path} raised {describe(err)}",
            why="a function in it was to be called",
            do=f"make `python {path}` run without an error",
        ) from err
    return module


def _from_package(place: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except (Exception, SystemExit) as err:
        raise _no_module(place, err) from err


def _no_module(place: str, err: BaseException | None) -> CaptureError:
    reason = f": {describe(err)}" if err is not None else ""
    return CaptureError(
        f"module {place!r} can't be imported from a file{reason}",
        why="a function in it was to be called",
        do=f"make `{sys.executable} -c 'import {place}'` work, or name a file: /path/file.py:fn",
    )


@contextmanager
def _first_on_path(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))


def describe(err: BaseException) -> str:
    """Kind, first line and place of an exception: the innermost line that isn't a library's."""
    first = (str(err).strip().splitlines() or [""])[0]
    text = f"{type(err).__name__}: {first}" if first else type(err).__name__
    if isinstance(err, SyntaxError):  # its own place is in its text
        return text
    frames = traceback.extract_tb(err.__traceback__)
    own = [frame for frame in frames if not _LIBRARIES.intersection(Path(frame.filename).parts)]
    at = next(reversed(own or frames), None)
    return f"{text} ({at.filename}, line {at.lineno})" if at else text
