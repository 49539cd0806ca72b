"""What the reference hands to the candidate while both run: traces that are complete once their
manifest stands.

The runner ends a candidate whose reference died, so waiting needs no clock of its own; the limit
here is for a capture that somebody starts by hand.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from portalign.errors import CaptureError
from portalign.records import Array, SideInfo, TensorKey, Trace
from portalign.store import TraceWriter, read_trace, state_sha256
from portalign.store.layout import MANIFEST

INPUTS, PREDICTIONS = "inputs", "predictions"
_POLL_SECONDS = 0.02
_LIMIT_SECONDS = 3600.0


def publish(folder: Path, items: Iterable[tuple[TensorKey, Array, str]], info: SideInfo) -> str:
    """Write (key, array, module type) items as a finished trace. Returns a hash over them."""
    writer = TraceWriter(folder)

    def written() -> Iterator[tuple[str, Array]]:
        for key, array, module_type in items:
            writer.add(key, array, module_type=module_type)
            yield str(key), array

    sha256 = state_sha256(written())
    writer.finish(info)
    return sha256


def await_trace(folder: Path) -> Trace:
    """Wait until a trace is finished and read it.

    Raises:
        CaptureError: it did not appear in an hour.
    """
    deadline = time.monotonic() + _LIMIT_SECONDS
    while not (folder / MANIFEST).exists():
        if time.monotonic() > deadline:
            raise CaptureError(
                f"{folder} was not finished within {_LIMIT_SECONDS:.0f} s",
                why="the candidate needs what the reference hands over",
                do="look at the reference's log beside it, and run the step again",
            )
        time.sleep(_POLL_SECONDS)
    return read_trace(folder)


def available_bytes() -> int:
    """Memory the machine can still give; a very large number where the system doesn't tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        table = dict(line.split(":", 1) for line in lines)
        return int(table["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 2**62
