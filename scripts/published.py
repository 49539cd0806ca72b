"""Retell the five published porting stories, with the answers they lacked: ``make published``.

python scripts/published.py --lens PYTHON --old PYTHON [--only STORY] [--logs FOLDER] [--docs]

Ends with 1 if any verdict, origin or cause is not what `published_cases` says. ``--docs`` writes
the table and the plot of docs/published-cases.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from published_cases import LENS, OLD, RUNS, Run
from published_curves import curve_of, factor, plot

ROOT = Path(__file__).resolve().parent.parent
WORDS = {0: "aligned", 1: "diverged", 2: "could not decide"}
Json = Any


@dataclass(frozen=True, slots=True)
class Ended:
    """What a run ended with, and what is wrong with that ("" if nothing)."""

    run: Run
    exit_code: int
    report: Json
    seconds: float
    complaint: str


def main(arguments: list[str] | None = None) -> int:
    """Run everything that is asked for, print one table, return the exit code."""
    asked = _parser().parse_args(arguments)
    chosen = [run for run in RUNS if asked.only in ("", run.story)]
    ended = []
    for run in chosen:
        print(f"{run.story}: {run.name} ...", flush=True)
        ended.append(_ended(run, asked))
        one = ended[-1]
        print(
            f"  {WORDS.get(one.exit_code, '?')} in {one.seconds:.0f} s {one.complaint}", flush=True
        )
    table = "\n".join(_rows(ended))
    print(f"\n{table}\n")
    for line in _timings(ended):
        print(line)
    if asked.docs:
        (ROOT / "docs" / "published" / "table.md").write_text(table + "\n", encoding="utf-8")
        plot([(one.run, one.report) for one in ended], ROOT / "docs" / "published" / "ctrl.png")
    wrong = [f"{one.run.story} ({one.run.name}): {one.complaint}" for one in ended if one.complaint]
    print("\n".join(wrong) or f"all {len(ended)} runs end as published_cases.py says")
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lens", default=sys.executable, help="Python with transformer_lens")
    parser.add_argument("--old", default=sys.executable, help="Python with transformers 4.48.3")
    parser.add_argument("--only", default="", choices=["", *dict.fromkeys(r.story for r in RUNS)])
    parser.add_argument("--logs", type=Path, default=ROOT / "logs" / "published")
    parser.add_argument("--docs", action="store_true", help="write the tables of the docs")
    return parser


def _ended(run: Run, asked: argparse.Namespace) -> Ended:
    logs = asked.logs / f"{run.story}-{''.join(c if c.isalnum() else '-' for c in run.name)}"
    shutil.rmtree(logs, ignore_errors=True)
    port = str(ROOT / run.port) if "/" in run.port else run.port
    command = [sys.executable, "-m", "portalign", "step", run.step, "--port", port]
    for override in run.overrides:
        command += ["--set", override.replace(LENS, asked.lens).replace(OLD, asked.old)]
    start = time.perf_counter()
    done = subprocess.run(
        [*command, "--logs", str(logs), "--quiet"], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    found = next(logs.glob(f"*/{run.step}/report.json"), None)
    if found is None:
        return Ended(run, done.returncode, {}, seconds, f"no report: {done.stderr[-300:]}")
    report = json.loads(found.read_text(encoding="utf-8"))
    for traces in ("weights", "graft", "reference", "candidate", "iterations"):  # up to 15 GB a run
        shutil.rmtree(found.parent / traces, ignore_errors=True)
    return Ended(run, done.returncode, report, seconds, _complaint(run, done.returncode, report))


def _complaint(run: Run, exit_code: int, report: Json) -> str:
    """What is not as it must be."""
    if exit_code != run.exit_code:
        return f"WRONG: {WORDS.get(exit_code, exit_code)}, not {WORDS[run.exit_code]}"
    places = [*report["divergence"]["origins"], *report["divergence"]["unresolved"]]
    if run.begins and not any(run.begins in place for place in places):
        return f"WRONG: begins at {places[:1]}, not at {run.begins}"
    if run.cause and run.cause not in " ".join(_said(report)):
        return f"WRONG: nothing says {run.cause!r}"
    if run.experiment and run.experiment.startswith("random"):
        worst = factor(curve_of(report), run.experiment)
        if not worst <= 5.0:
            return f"WRONG: a layer differs from the published one by a factor of {worst:.1f}"
    return ""


def _said(report: Json) -> Iterator[str]:
    """What the report gives as reasons, causes first."""
    for finding in report["findings"]:
        if finding["kind"] != "unexplained":
            yield finding["claim"]
    for reservation in report["reservations"]:
        yield reservation["text"]


def _rows(ended: list[Ended]) -> Iterator[str]:
    yield "| story | run | published | ours | verdict | where and why |"
    yield "|---|---|---|---|---|---|"
    for one in ended:
        if not one.report:
            continue
        cells = (
            one.run.story,
            one.run.name,
            one.run.published,
            _ours(one),
            WORDS.get(one.exit_code, "?"),
            _why(one.report),
        )
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _ours(one: Ended) -> str:
    """The number that stands against the published one."""
    outputs = [c for c in one.report["comparisons"] if c["key"]["kind"] in ("output", "loss", "lr")]
    if one.run.experiment:
        curve = curve_of(one.report)
        worst = factor(curve, one.run.experiment)
        return (
            f"mean difference {curve[0]:.2g} at hidden state 0, {curve[47]:.2g} at 47, "
            f"{curve[48]:.2g} at 48; within a factor of {worst:.2f} of the published"
        )
    if one.run.story == "smollm2_bf16" and outputs:
        return (
            f"logits differ by at most {outputs[0]['native']['max_abs']:.3g}{_nearer(outputs[0])}"
        )
    if not outputs:
        return one.report["headline"]
    worst_mean = max(c["native"]["mean_abs"] for c in outputs)
    worst_max = max(c["native"]["max_abs"] for c in outputs)
    return f"outputs differ by {worst_mean:.2g} on average, at most {worst_max:.3g}"


def _nearer(logits: Json) -> str:
    """How far each side lies from its own float64 twin, and the twins from each other."""
    norm, twin = logits["native"]["norm_reference"], logits["twin"]
    if twin is None or logits["own_reference"] is None:
        return ""
    return (
        f"; rounding alone {logits['own_reference'] / norm:.3f} and "
        f"{logits['own_candidate'] / norm:.3f}, the float64 twins differ by "
        f"{twin['rel_frobenius']:.3f} (relative)"
    )


def _why(report: Json) -> str:
    if report["outcome"] == "pass":
        return "; ".join([*list(_said(report))[:1], report["headline"]])
    origins = report["divergence"]["origins"]
    where = f"begins at {origins[0]}" if origins else report["headline"]
    return "; ".join([where, *list(_said(report))[:2]])


def _timings(ended: list[Ended]) -> Iterator[str]:
    """How long each part took, and the peak memory of a side, of the large runs."""
    for one in ended:
        for side in one.report.get("sides", []):
            if side["peak_memory_bytes"] > 4 * 2**30:
                parts = ", ".join(f"{name} {s:.0f} s" for name, s in side["seconds"].items())
                peak = side["peak_memory_bytes"] / 1e9
                print(f"{one.run.story} ({one.run.name}) {side['role']}: {peak:.1f} GB, {parts}")
    yield f"all runs: {sum(one.seconds for one in ended) / 60:.1f} minutes"


if __name__ == "__main__":
    sys.exit(main())
