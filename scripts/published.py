"""Retell the five published porting stories, with the answers they lacked: ``make published``.

python scripts/published.py --lens PYTHON --old PYTHON [--only STORY] [--logs FOLDER] [--reuse]
    [--docs]

Ends with 1 if any verdict, origin or cause is not what `published_cases` says. ``--docs`` writes
docs/published-cases.md and its plots from what was run; ``--reuse`` takes runs that are in the
folder of logs already.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from published_cases import LENS, OLD, RUNS, Run
from published_page import row, write_page
from published_runs import ROOT, WORDS, Ended, ended


def main(arguments: list[str] | None = None) -> int:
    """Run everything that is asked for, print one table, return the exit code."""
    asked = _parser().parse_args(arguments)
    pythons = {LENS: asked.lens, OLD: asked.old}
    asked_for = [run for run in RUNS if asked.only in ("", run.story)]

    def go(run: Run) -> Ended:
        one = ended(run, asked.logs, pythons, is_reused=asked.reuse)
        word = WORDS.get(one.exit_code, "?")
        text = f"{run.story}: {run.name}: {word} in {one.seconds:.0f} s {one.complaint}"
        print(f"{text.rstrip()}\n", end="", flush=True)  # in one piece: two lanes write
        return one

    start = time.perf_counter()
    found = _two_at_a_time(go, asked_for)
    minutes = (time.perf_counter() - start) / 60
    print(
        "\n| story | run | published | ours | verdict | where and why |\n|---|---|---|---|---|---|"
    )
    print("\n".join(row(one) for one in found if one.report), end="\n\n")
    print("\n".join(_timings(found)))
    print(f"all runs: {minutes:.1f} minutes")
    if asked.docs and not asked.only:
        write_page(found, ROOT / "docs")
    wrong = [f"{one.run.story} ({one.run.name}): {one.complaint}" for one in found if one.complaint]
    print("\n".join(wrong) or f"all {len(found)} runs end as published_cases.py says")
    return 1 if wrong else 0


def _two_at_a_time(go: Callable[[Run], Ended], runs: Sequence[Run]) -> list[Ended]:
    """Run the largest first and the smallest beside them, until both meet in the middle: the large
    ones wait for the disk a third of the time, and two with twins don't fit in memory at once.
    """
    waiting = deque(sorted(runs, key=_size, reverse=True))
    done: dict[Run, Ended] = {}

    def work(take: Callable[[], Run]) -> None:
        while True:
            try:
                run = take()
            except IndexError:
                return
            done[run] = go(run)

    with ThreadPoolExecutor(2) as pool:
        for ended_all in [pool.submit(work, take) for take in (waiting.popleft, waiting.pop)]:
            ended_all.result()
    return [done[run] for run in runs]


def _size(run: Run) -> tuple[bool, bool]:
    return bool(run.experiment), "twin=on" in run.overrides


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lens", default=sys.executable, help="Python with transformer_lens")
    parser.add_argument("--old", default=sys.executable, help="Python with transformers 4.48.3")
    parser.add_argument("--only", default="", choices=["", *dict.fromkeys(r.story for r in RUNS)])
    parser.add_argument("--logs", type=Path, default=ROOT / "logs" / "published")
    parser.add_argument("--reuse", action="store_true", help="keep runs that are there already")
    parser.add_argument("--docs", action="store_true", help="write docs/published-cases.md")
    return parser


def _timings(found: Sequence[Ended]) -> Iterator[str]:
    """How long each part of the large runs took, and the peak memory of a side."""
    for one in found:
        if one.run.experiment:
            for side in one.report.get("sides", []):
                parts = ", ".join(f"{name} {s:.0f} s" for name, s in side["seconds"].items())
                peak = side["peak_memory_bytes"] / 1e9
                title = f"{one.run.story} ({one.run.name}) {side['role']}"
                yield f"{title}: {peak:.1f} GB, {parts}"


if __name__ == "__main__":
    sys.exit(main())
