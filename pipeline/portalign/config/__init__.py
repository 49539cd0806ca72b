"""The port file: found, read, checked and made complete. The rest of portalign sees only a `Port`.

`load_port` takes a name or a path and the overrides of one run; whatever is wrong becomes a
`PortFileError` that names the line. Nothing here imports a framework or runs a porter's code.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from portalign.config import overrides as _overrides
from portalign.config.complaints import as_port_error, nearest
from portalign.config.document import Document, Place, parse
from portalign.config.model import NEEDS, Port
from portalign.config.parts import Side
from portalign.errors import PortFileError

__all__ = ["NEEDS", "Port", "Side", "load_port", "port_schema", "shipped_ports"]

_SHIPPED = Path(__file__).parent.parent / "ports"


def load_port(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Port:
    """Read a port.

    Args:
        name_or_path: name of a port that ships with portalign, a YAML file, or a folder with a
            `port.yaml`. A bare name means the shipped port where there is one; write ``./name`` for
            a folder of the same name.
        overrides: ``key=value`` texts, such as ``optimizer.lr=1e-4``; the last one counts.

    Raises:
        PortFileError: it can't be found or read, or says something impossible. Names file and line.

    Example:
        >>> load_port("bert", ["settings.size=base"]).settings["size"]  # doctest: +SKIP
        'base'
    """
    file = _find(str(name_or_path))
    document = parse(_text(file), name=str(file))
    if not isinstance(document.data, dict):
        raise PortFileError(
            f"{file}:{document.line(())}: "
            + ("the file is empty" if document.data is None else "this is no mapping"),
            why="a port file is a mapping of keys to values",
            do="start with `name:`, `reference:` and `candidate:`",
        )
    changes = _overrides.read(overrides)
    changed = Document(_overrides.apply(document.data, changes), document.lines)

    def where(place: Place) -> str:
        for change in reversed(changes):
            n_shared = min(len(place), len(change.place))
            if n_shared and place[:n_shared] == change.place[:n_shared]:
                return f"--set {change.text}"
        return f"{file}:{document.line(place)}"

    try:
        return Port.model_validate(changed.data, context={"folder": file.parent, "file": file})
    except ValidationError as err:
        raise as_port_error(err, changed, where) from None


def shipped_ports() -> list[str]:
    """Names of the ports that ship with portalign."""
    return sorted(path.parent.name for path in _SHIPPED.glob("*/port.yaml"))


def port_schema() -> dict[str, Any]:
    """JSON schema of the port file, for editors.

    An editor with a YAML language server checks a port file that starts with
    ``# yaml-language-server: $schema=<path or URL of port.schema.json>``.
    """
    schema = Port.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "portalign port file"
    schema["description"] = "Two sides of a model port, and what is run on both."
    return schema


def _find(name_or_path: str) -> Path:
    path = Path(name_or_path).expanduser()
    is_name = path.name == name_or_path and path.suffix not in {".yaml", ".yml"}
    if is_name and name_or_path in shipped_ports():
        return (_SHIPPED / name_or_path / "port.yaml").absolute()
    if path.is_dir():
        path = path / "port.yaml"
    if path.is_file():
        return path.absolute()
    if is_name:
        raise PortFileError(
            f"no port is called {name_or_path!r}",
            why="a name stands for a port that ships with portalign",
            do=f"{nearest(name_or_path, shipped_ports())}; or give the path of a port.yaml",
        )
    raise PortFileError(
        f"there is no file {path.absolute()}",
        why="the port file says what to compare",
        do="give the name of a shipped port, a YAML file, or a folder that holds a port.yaml",
    )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as err:
        line = file.read_bytes().count(b"\n", 0, err.start) + 1
        raise PortFileError(
            f"{file}:{line}: byte {err.object[err.start]:#04x} is not UTF-8",
            why="a port file is UTF-8 text",
            do="save the file as UTF-8",
        ) from None
    except OSError as err:
        raise PortFileError(
            f"{file} can't be read: {err.strerror}",
            why="the port file says what to compare",
            do="make the file readable",
        ) from None
