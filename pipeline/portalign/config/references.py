"""References to a porter's functions: `file.py:function` or `package.module:function`.

Files lie beside the port file. References are made absolute and checked without importing anything:
the function may need a framework that this interpreter doesn't have.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable
from pathlib import Path

from pydantic_core import PydanticCustomError

_FORM = "file.py:function beside the port file, or package.module:function"


def resolve(reference: str, folder: Path) -> str:
    """Make a function reference absolute.

    A file is looked for beside the port file; it must exist, be Python and define the function at
    its top level. A module is only checked for its form: it is imported by the side that uses it.

    Args:
        reference: as the port file has it.
        folder: where the port file lies.

    Raises:
        PydanticCustomError: with `why` and `do` in its context; `complaints` adds the line.
    """
    place, colon, function = reference.rpartition(":")
    if not colon or not place or not function.isidentifier():
        raise complaint(
            f"{reference!r} names no function",
            why=f"a function is written as {_FORM}",
            do="write for example torch_side.py:build",
        )
    if place.endswith(".py"):
        path = (folder / Path(place).expanduser()).absolute()
        _check_file(path, function)
        return f"{path}:{function}"
    if not all(part.isidentifier() for part in place.split(".")):
        raise complaint(
            f"{place!r} is neither a Python file nor a module",
            why=f"a function is written as {_FORM}",
            do=f"write {place}.py:{function} if it is a file"
            if (folder / f"{place}.py").is_file()
            else "correct the part before the colon",
        )
    return reference


def source_files(references: Iterable[str]) -> list[Path]:
    """The files of resolved references and, in turn, the modules and packages beside them that they
    import; nothing for a reference that names a module.
    """
    places = (reference.rpartition(":")[0] for reference in references)
    pending = [Path(place) for place in places if place.endswith(".py")]
    found: set[Path] = set()
    while pending:
        path = pending.pop()
        if path not in found:
            found.add(path)
            pending += [beside for name in _imported(path) for beside in _beside(path, name)]
    return sorted(found)


def _imported(path: Path) -> set[str]:
    """Top-level names of the modules a file imports, wherever in it the import stands."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def _beside(path: Path, name: str) -> list[Path]:
    file, package = path.parent / f"{name}.py", path.parent / name
    return [file] if file.is_file() else sorted(package.rglob("*.py"))


def complaint(found: str, *, why: str, do: str, entry: str = "") -> PydanticCustomError:
    """An error for pydantic to place: it knows what is being checked, unless `entry` names it."""
    facts = {"found": found, "why": why, "do": do, "entry": entry}
    return PydanticCustomError("portalign", "{found}", facts)


def _check_file(path: Path, function: str) -> None:
    if not path.is_file():
        raise complaint(
            f"there is no file {path}",
            why="the function it should hold can't be run",
            do=_nearest([each.name for each in sorted(path.parent.glob("*.py"))], path.name)
            or f"write {path.name} beside the port file, or correct the name",
        )
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError) as err:
        raise complaint(
            f"{path}:{getattr(err, 'lineno', None) or 1} is not valid Python: {err.args[0]}",
            why=f"its function {function!r} can't be run",
            do="correct the file",
        ) from None
    except OSError as err:
        raise complaint(
            f"{path} can't be read: {err.strerror}",
            why=f"its function {function!r} can't be run",
            do="make the file readable",
        ) from None
    names = _top_level_names(tree.body)
    if function not in names and "*" not in names:
        raise complaint(
            f"{path.name} defines no {function!r} at its top level",
            why="the side that needs it would fail after its framework is loaded",
            do=_nearest(sorted(names), function) or f"define {function} in {path}",
        )


def _nearest(known: list[str], name: str) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else ""


def _top_level_names(body: list[ast.stmt]) -> set[str]:
    """Names bound in a module's top level, also under if, try and with; "*" for a star import."""
    names: set[str] = set()
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(statement.name)
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name for alias in statement.names}
        elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names |= {
                node.id
                for target in targets
                for node in ast.walk(target)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            }
        else:
            for field in ("body", "orelse", "finalbody"):
                names |= _top_level_names(getattr(statement, field, []))
            for handler in getattr(statement, "handlers", []):
                names |= _top_level_names(handler.body)
    return names
