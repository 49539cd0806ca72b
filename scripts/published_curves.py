"""The published differences of CTRL beside ours: along the depth, as numbers and as a plot."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from published_cases import Run

PUBLISHED = (
    Path(__file__).resolve().parent.parent
    / "pipeline/portalign/ports/ctrl/published_differences.csv"
)
Json = Any


def curve_of(report: Json) -> list[float]:
    """Mean absolute difference of each hidden state, in the order of the depth."""
    states = {
        int(c["key"]["path"].rpartition(".")[2]): c["native"]["mean_abs"]
        for c in report["comparisons"]
        if c["key"]["kind"] == "output" and c["key"]["path"].startswith("hidden_states.")
    }
    return [states[at] for at in sorted(states)]


def published_curve(experiment: str) -> list[float]:
    """The same as its author published it."""
    with PUBLISHED.open(newline="", encoding="utf-8") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["experiment"] == experiment and row["tensor"] == "hidden_states"
        ]
    rows.sort(key=lambda row: int(row["index"]))
    return [float(row["mean_abs_difference"]) for row in rows]


def factor(ours: Sequence[float], experiment: str) -> float:
    """The greatest ratio, either way, between ours and the published at any depth; 0 equals 0."""
    ratios = [1.0]
    for mine, theirs in zip(ours, published_curve(experiment), strict=True):
        if mine != theirs:
            low, high = sorted((mine, theirs))
            ratios.append(high / low if low else float("inf"))
    return max(ratios)


def plot(ended: Sequence[tuple[Run, Json]], file: Path) -> None:
    """Draw every CTRL experiment that was run beside the published one."""
    from matplotlib.figure import Figure

    curves = [(run, curve_of(report)) for run, report in ended if run.experiment and report]
    if not curves:
        return
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for at, (run, ours) in enumerate(curves):
        colour = f"C{at}"
        axes.semilogy(ours, color=colour, label=run.name)
        axes.semilogy(published_curve(run.experiment), color=colour, linestyle=":", linewidth=2)
    axes.set(
        xlabel="hidden state",
        ylabel="mean |reference - candidate|, float32",
        title="CTRL, 48 layers: ours (solid) and published (dotted)",
    )
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=110)
