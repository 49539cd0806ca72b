"""Measure `portalign compare` against reprod_log and against merely reading the files, in one run.

Every measurement runs in a fresh process with the files in the page cache, imports apart; the best
of some rounds counts, by wall and by processor time each, and the contestants take turns so that a
busy machine slows all alike. "Merely read and summed" is the plain way: both files into one buffer,
piece by piece, each piece summed by numpy, in one process. The command is measured as a user runs
it, on all its processes, and its aims are by wall time; beside it stands the same comparison in one
process, and summing the mapped files, both without an aim.

    python scripts/bench_compare.py            # 2 GB of float32 pairs
    python scripts/bench_compare.py --gb 0.25  # quick
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import mmap
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from portalign.compare.measure import measure
from portalign.compare.pairs import compare
from portalign.compare.shares import MAX_PROCESSES
from portalign.foreign import read_arrays
from portalign.records import Array, Kind, TensorKey

N_ARRAYS = 16
READ_BYTES = 2**20  # fastest of 256 KiB to 4 MiB for reading and summing
AIM_REPROD, AIM_READ, AIM_MEMORY = 2.5, 0.5, 300e6

Result = dict[str, float]


def main() -> int:
    """Run all contestants and print their rates; 1 if an aim is missed."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--gb", type=float, default=2.0, help="size of all pairs together")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--only", choices=sorted(CONTESTANTS), help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.only:
        print(json.dumps(CONTESTANTS[given.only](given.folder)))
        return 0
    with tempfile.TemporaryDirectory(prefix="portalign-bench-") as folder:
        n_bytes = _write(Path(folder), given.gb)
        best: dict[str, Result] = {}
        for _ in range(given.rounds):
            for name in CONTESTANTS:
                result = _in_child(name, Path(folder))
                known = best.setdefault(name, result)
                best[name] = {
                    key: (max if key == "peak" else min)(value, known[key])
                    for key, value in result.items()
                }
    return _report(best, n_bytes)


def _write(folder: Path, gb: float) -> int:
    """Pairs as faithful float32 ports give them, as plain arrays and as reprod_log dumps."""
    rng = np.random.default_rng(0)
    n = max(1, int(gb * 1e9 / 8 / N_ARRAYS))
    sides: tuple[dict[str, Array], dict[str, Array]] = ({}, {})
    for at in range(N_ARRAYS):
        array = rng.standard_normal(n, dtype=np.float32)
        noise = rng.standard_normal(n, dtype=np.float32) * np.float32(1e-7)
        for side, values in zip(sides, (array, array * (1 + noise)), strict=True):
            side[f"layer_{at:02d}"] = values
    for role, side in zip(("reference", "candidate"), sides, strict=True):
        (folder / role).mkdir()
        for name, values in side.items():
            np.save(folder / role / f"{name}.npy", values)
        np.save(folder / f"{role}.npy", np.array(side, dtype=object), allow_pickle=True)
    return 2 * N_ARRAYS * n * 4


def _in_child(name: str, folder: Path) -> Result:
    command = [sys.executable, __file__, "--only", name, "--folder", str(folder)]
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        command,
        env={**os.environ, **single, "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def _timed(work: Callable[[], object]) -> Result:
    start, start_cpu = time.perf_counter(), sum(os.times()[:4])
    work()
    seconds, cpu = time.perf_counter() - start, sum(os.times()[:4]) - start_cpu
    return {"seconds": seconds, "cpu": cpu, "peak": _peak_bytes()}


def _peak_bytes() -> float:
    """Peak memory of this process, and of each child as if the largest: shared pages count twice.

    This process's ``ru_maxrss`` on Linux keeps that of the writing parent.
    """
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024.0
    of_children = children * (min(MAX_PROCESSES, os.cpu_count() or 1) - 1)
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return float(line.split()[1]) * 1024 + of_children
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) + of_children


def _read_and_sum(folder: Path) -> Result:
    """The least anyone must do: read each file into one buffer, piece by piece, and add it up.

    The buffer lies half a page off the files' pages. Where it lies by chance, 16 bytes behind them,
    some processors copy at a sixth of the rate, and everybody would look good beside that.
    """
    room = np.empty(READ_BYTES + 2 * mmap.PAGESIZE, np.uint8)
    start = (mmap.PAGESIZE // 2 - room.__array_interface__["data"][0]) % mmap.PAGESIZE
    buffer = room[start : start + READ_BYTES].view(np.float32)

    def work() -> None:
        for role in ("reference", "candidate"):
            for path in sorted((folder / role).iterdir()):
                with path.open("rb", buffering=0) as file:
                    while n_bytes := file.readinto(memoryview(buffer).cast("B")):
                        buffer[: n_bytes // 4].sum()

    return _timed(work)


def _map_and_sum(folder: Path) -> Result:
    """The same without a copy: map each file and add it up."""

    def work() -> None:
        for role in ("reference", "candidate"):
            for path in sorted((folder / role).iterdir()):
                array = np.load(path, mmap_mode="r")
                for start in range(0, array.size, READ_BYTES // 4):
                    array[start : start + READ_BYTES // 4].sum()

    return _timed(work)


def _compare_pairs(reference: dict[str, Array], candidate: dict[str, Array]) -> None:
    for name, array in reference.items():
        compare(array, candidate[name], key=TensorKey(Kind.OUTPUT, name))


def _portalign_arrays(folder: Path) -> Result:
    """Folders of plain arrays, from opening the files to the verdicts, in one process."""
    return _timed(
        lambda: _compare_pairs(read_arrays(folder / "reference"), read_arrays(folder / "candidate"))
    )


def _portalign_dumps(folder: Path) -> Result:
    """reprod_log's own dumps, from opening the files to the verdicts, in one process."""
    return _timed(
        lambda: _compare_pairs(
            read_arrays(folder / "reference.npy"), read_arrays(folder / "candidate.npy")
        )
    )


def _command(folder: Path, ending: str) -> Result:
    """The command itself, from its arguments to the printed report."""
    from portalign.cli import main as portalign

    def work() -> None:
        sides = [str(folder / f"{role}{ending}") for role in ("reference", "candidate")]
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            try:
                portalign(["compare", *sides])
            except SystemExit as end:
                if end.code:
                    raise RuntimeError(f"exit code {end.code}: {printed.getvalue()}") from end

    return _timed(work)


def _portalign_loaded(folder: Path) -> Result:
    """The same arrays already in memory: arithmetic alone."""
    sides = _loaded(folder)
    return _timed(lambda: [measure(array, sides[1][name]) for name, array in sides[0].items()])


def _reprod_dumps(folder: Path) -> Result:
    """reprod_log on its own dumps, as its helper reads and compares them."""
    from reprod_log import ReprodDiffHelper  # imports paddle

    helper = ReprodDiffHelper()

    def work() -> None:
        sides = [
            helper.load_info(str(folder / f"{role}.npy")) for role in ("reference", "candidate")
        ]
        helper.compare_info(*sides)

    return _timed(work)


def _reprod_loaded(folder: Path) -> Result:
    """reprod_log's arithmetic alone: three statistics."""
    from reprod_log.compare import compute_diff  # imports paddle

    sides = _loaded(folder)
    return _timed(lambda: compute_diff(*sides))


def _loaded(folder: Path) -> list[dict[str, Array]]:
    return [
        {path.stem: np.load(path) for path in sorted((folder / role).iterdir())}
        for role in ("reference", "candidate")
    ]


CONTESTANTS: dict[str, Callable[[Path], Result]] = {
    "read and sum": _read_and_sum,
    "map and sum": _map_and_sum,
    "portalign compare, arrays": lambda folder: _command(folder, ""),
    "portalign compare, reprod_log dumps": lambda folder: _command(folder, ".npy"),
    "one process, arrays": _portalign_arrays,
    "one process, reprod_log dumps": _portalign_dumps,
    "portalign, arithmetic alone": _portalign_loaded,
    "reprod_log, its dumps": _reprod_dumps,
    "reprod_log, arithmetic alone": _reprod_loaded,
}


def _report(best: dict[str, Result], n_bytes: int) -> int:
    rates = {
        name: [n_bytes / result[key] / 1e9 for key in ("seconds", "cpu")]
        for name, result in best.items()
    }
    print(f"{n_bytes / 1e9:.2f} GB of float32 pairs, files in the page cache")
    print(f"  {'GB/s of':36s} {'wall':>6s} {'cpu':>6s}   peak MB")
    for name, (wall, cpu) in rates.items():
        print(f"  {name:36s} {wall:6.2f} {cpu:6.2f}   {best[name]['peak'] / 1e6:7.0f}")
    arrays, dumps = "portalign compare, arrays", "portalign compare, reprod_log dumps"
    aims = [
        ("dumps over reprod_log", dumps, "reprod_log, its dumps", AIM_REPROD),
        ("in memory over reprod_log's three", "portalign, arithmetic alone",
         "reprod_log, arithmetic alone", 0.0),
        ("arrays over reading and summing", arrays, "read and sum", AIM_READ),
        ("dumps over reading and summing", dumps, "read and sum", AIM_READ),
        ("one process: arrays over the same", "one process, arrays", "read and sum", 0.0),
        ("one process: dumps over the same", "one process, reprod_log dumps", "read and sum", 0.0),
        ("arrays over mapping and summing", arrays, "map and sum", 0.0),
    ]  # fmt: skip
    print(f"  {'all statistics, ratio of':36s} {'wall':>6s} {'cpu':>6s}")
    is_met = True
    for text, mine, other, aim in aims:
        ratios = [a / b for a, b in zip(rates[mine], rates[other], strict=True)]
        is_met = is_met and ratios[0] >= aim
        print(f"  {text:36s} {ratios[0]:6.2f} {ratios[1]:6.2f}" + (f"   aim {aim:g}" * (aim > 0)))
    peak = max(best[name]["peak"] for name in (arrays, dumps))
    print(f"  peak memory {peak / 1e6:.0f} MB, aim below {AIM_MEMORY / 1e6:.0f} MB")
    is_met = is_met and peak <= AIM_MEMORY
    print(f"  aims {'met' if is_met else 'MISSED'} (by wall time)")
    return 0 if is_met else 1


if __name__ == "__main__":
    raise SystemExit(main())
