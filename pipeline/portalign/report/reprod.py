"""The community's exchange format, ``<prefix>_<side>.npy`` and ``*_diff.log``, by reprod_log.

reprod_log's verdict can't be trusted where shapes differ, where NaN or infinities stand, or where a
key is missing; such keys don't reach its arithmetic. They get a mean of inf, so that reprod_log
itself writes "check passed: False, value: inf" and "diff check failed"; a line of ours says why.
Where it can't be imported, the same text and the same dumps are written here.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from portalign.errors import ReportError
from portalign.report import _reprod_child
from portalign.report.exchange import Entry, Tree, entries_of

_TIMEOUT_SECONDS = 900  # importing paddle takes seconds, gigabytes of dumps a minute
_PASSED, _FAILED = "diff check passed", "diff check failed"


@dataclass(frozen=True, slots=True)
class ExchangeResult:
    """What `write_exchange` wrote.

    Attributes:
        log: name of the log.
        files: names of everything written, the log last.
        written_by: "reprod_log" or "portalign".
        is_below_threshold: the log's own judgement, every mean difference within the threshold;
            False when no key was compared. It is not portalign's verdict.
        notes: which keys were skipped or not left to reprod_log, and why; and why reprod_log
            did not write the log, if it did not.
    """

    log: str
    files: tuple[str, ...]
    written_by: str
    is_below_threshold: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be written: dump names by role, log name, threshold, last lines."""

    dumps: dict[str, str]
    log: str
    threshold: float
    closing: list[str]
    entries: tuple[Entry, ...]


def write_exchange(
    folder: Path,
    prefix: str,
    sides: tuple[str, str],
    reference: Tree,
    candidate: Tree,
    *,
    log: str,
    threshold: float,
    closing: Sequence[str],
    python: str = "",
) -> ExchangeResult:
    """Write both dumps and the log; an earlier set is replaced only when the new one is complete.

    Narrow types are widened so that reprod_log's arithmetic can't wrap or round them away: float16,
    bfloat16, float8 and bool to float32, integers to int64 (uint64 to float64). Scalars get shape
    ``(1,)``. Text and empty arrays are skipped with a note. NaN on either side, or an infinity
    against anything but itself, fails its key; equal infinities are left out of the mean.

    Args:
        folder: where the files go; made if absent.
        prefix: "forward" makes ``forward_torch.npy``.
        sides: the two file name endings, reference first.
        reference: key -> array or a nested mapping of the same, in log order.
        candidate: the same for the candidate.
        log: file name of the log.
        threshold: greatest mean absolute difference that the log lets pass.
        closing: portalign's own verdict, the last lines of the log; "portalign: " is put in front.
        python: interpreter that has reprod_log; this one if empty.

    Raises:
        ReportError: threshold or names make no sense, the disk refuses, or reprod_log crashes.
    """
    _check(prefix, sides, log, threshold)
    entries, notes = entries_of(reference, candidate)
    if not entries:
        notes = (*notes, "nothing was compared: this log proves nothing")
    dumps = {
        role: f"{prefix}_{side}.npy"
        for role, side in zip(("reference", "candidate"), sides, strict=True)
    }
    lines = [f"portalign: {' '.join(text.split())}" for text in (*notes, *closing)]
    order = _Order(dumps, log, threshold, lines, entries)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".exchange-", dir=folder) as name:
            fault = _run_reprod_log(order, Path(name), python=python or sys.executable)
            if fault:
                _write_plainly(order, Path(name))
            text = (Path(name) / log).read_text(encoding="utf-8")
            for file in (*dumps.values(), log):
                (Path(name) / file).replace(folder / file)
    except OSError as err:
        raise _refused(folder / log, str(err.strerror or err)) from err
    return ExchangeResult(
        log=log,
        files=(*dumps.values(), log),
        written_by="portalign" if fault else "reprod_log",
        is_below_threshold=bool(entries) and f" root INFO: {_PASSED}\n" in text,
        notes=(*notes, fault) if fault else notes,
    )


def _check(prefix: str, sides: tuple[str, str], log: str, threshold: float) -> None:
    names = (prefix, *sides, log)
    is_sound = all(name and Path(name).name == name for name in names) and len(set(sides)) == 2
    if not is_sound:
        raise ReportError(
            f"prefix {prefix!r}, sides {sides!r} and log {log!r} don't make two dumps and a log",
            why="one file would overwrite another or leave the folder",
            do="give plain names, and the two sides different ones",
        )
    if not 0.0 <= threshold < math.inf:
        raise ReportError(
            f"threshold {threshold} is not a finite number from 0 up",
            why="every difference would pass",
            do="set `tolerance: {mean: 1.0e-6}` in the port file",
        )


def _run_reprod_log(order: _Order, folder: Path, *, python: str) -> str:
    """Have the child write into `folder`. Returns why reprod_log can't be had, "" if it wrote."""
    arrays, entries = {}, []
    for index, entry in enumerate(order.entries):
        names = {}
        for role, array in (("reference", entry.reference), ("candidate", entry.candidate)):
            names[role] = None if array is None else f"{role}_{index}"
            if array is not None:
                arrays[f"{role}_{index}"] = array
        entries.append({"path": entry.path, "mean": entry.mean, **names})
    np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)
    facts = {
        "dumps": order.dumps,
        "log": order.log,
        "threshold": order.threshold,
        "closing": order.closing,
        "entries": entries,
    }
    (folder / "order.json").write_text(json.dumps(facts), encoding="utf-8")
    ran = _child([python, str(_reprod_child.__file__), str(folder)])
    last = (ran.stderr.strip().splitlines() or ["no message"])[-1]
    if ran.returncode == 0:
        return ""
    # A negative status is a signal: paddle's library doesn't run on this machine (SIGILL).
    if ran.returncode == _reprod_child.CAN_NOT_IMPORT or ran.returncode < 0:
        reason = last if ran.returncode > 0 else f"signal {-ran.returncode}"
        return f"reprod_log can't be imported here ({reason}); portalign wrote its format itself"
    raise _refused(folder.parent / order.log, f"reprod_log stopped: {last}")


def _child(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            env={**os.environ, "PYTHONUTF8": "1"},
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except OSError as err:
        fault = f"{command[0]} can't be started: {err.strerror}"
        return subprocess.CompletedProcess(command, _reprod_child.CAN_NOT_IMPORT, "", fault)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no end after {_TIMEOUT_SECONDS} s")


def _refused(log: Path, fault: str) -> ReportError:
    return ReportError(
        f"{log} can't be written: {fault}",
        why="reviewers read this log; an earlier one is left as it was",
        do="make room or choose another folder with --logs",
    )


def _write_plainly(order: _Order, folder: Path) -> None:
    """Write what reprod_log 1.0.1 writes, byte for byte but for the time stamps."""
    for role in ("reference", "candidate"):
        dump: dict[str, Any] = {}
        for entry in order.entries:
            array = entry.reference if role == "reference" else entry.candidate
            if array is not None:
                _reprod_child.place(dump, list(entry.path), array)
        np.save(folder / order.dumps[role], dump)  # type: ignore[arg-type]  # a dict is the format
    means = {entry.path: _mean(entry) for entry in order.entries}
    differences: dict[str, Any] = {}
    for path, mean in means.items():
        _reprod_child.place(differences, list(path), mean)
    is_passed = not any(mean > order.threshold for mean in means.values())
    lines = list(_lines(differences, order.threshold, indent=""))
    lines += [_PASSED if is_passed else _FAILED, *order.closing]
    stamp = time.strftime("[%Y/%m/%d %H:%M:%S] root INFO: ")
    text = "".join(f"{stamp}{line}\n" for line in lines)
    (folder / order.log).write_text(text, encoding="utf-8")


def _mean(entry: Entry) -> Any:
    """The mean difference, in the dtype that reprod_log computes and prints it in."""
    if entry.mean is not None:
        return entry.mean
    reference: Any = entry.reference
    with np.errstate(all="ignore"):
        return np.abs(reference - entry.candidate).mean()


def _lines(differences: Mapping[str, Any], threshold: float, *, indent: str) -> Iterator[str]:
    for key, value in differences.items():
        if isinstance(value, dict):
            yield f"{indent}{key}"
            yield from _lines(value, threshold, indent=indent + "\t")
        else:
            yield f"{indent}{key}: "
            # Phrased as reprod_log phrases it; NaN never gets here, `exchange` turns it into inf.
            yield f"{indent}\tmean diff: check passed: {not value > threshold}, value: {value}"
