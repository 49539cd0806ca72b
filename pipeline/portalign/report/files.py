"""Files that take the place of earlier ones only when they are whole."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from portalign.errors import ReportError


def write_text(text: str, path: Path) -> Path:
    """Write a text as UTF-8; what UTF-8 can't hold is shown escaped.

    Raises:
        ReportError: as in `write_bytes`.
    """
    # Names may hold what UTF-8 can't (a file name's lone surrogates): show it, don't crash.
    return write_bytes(text.encode("utf-8", errors="backslashreplace"), path)


def write_bytes(content: bytes, path: Path) -> Path:
    """Write a file and return its path; what stood there is replaced at once.

    Raises:
        ReportError: the disk refuses; an earlier file stays as it was.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as err:
        with suppress(OSError):  # the folder itself may be what is wrong
            part.unlink()
        raise ReportError(
            f"{path} can't be written: {err.strerror or err}",
            why="the result would be lost; an earlier report is left as it was",
            do="make room or choose another folder with --logs",
        ) from err
    return path
