"""The numbers and plots of the published cases, drawn from the reports of their runs."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

PUBLISHED = (
    Path(__file__).resolve().parent.parent
    / "pipeline/portalign/ports/ctrl/published_differences.csv"
)
TENSORS = ("loss", "logits", *(f"hidden_states.{at}" for at in range(49)))
Json = Any


def curve_of(report: Json, number: str = "mean_abs") -> list[float]:
    """Differences of each hidden state, in the order of the depth."""
    return [by_tensor(report, number)[name] for name in TENSORS[2:]]


def by_tensor(report: Json, number: str) -> dict[str, float]:
    """Differences of loss, logits and hidden states by name: `mean_abs` or `max_abs`."""
    return {
        c["key"]["path"]: c["native"][number]
        for c in report["comparisons"]
        if c["key"]["kind"] == "output"
    }


def published(experiment: str, number: str = "mean_abs") -> dict[str, float]:
    """The same as its author published it."""
    with PUBLISHED.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["experiment"] == experiment]
    return {
        f"hidden_states.{row['index']}"
        if row["tensor"] == "hidden_states"
        else row["tensor"]: float(row[f"{number}_difference"])
        for row in rows
    }


def factor(ours: Sequence[float], experiment: str) -> float:
    """The greatest ratio, either way, between ours and the published at any depth; 0 equals 0."""
    theirs = published(experiment)
    ratios = [1.0]
    for mine, name in zip(ours, TENSORS[2:], strict=True):
        low, high = sorted((mine, theirs[name]))
        if low != high:
            ratio = high / low if low else float("inf")
            ratios.append(ratio if ratio >= 1.0 else float("inf"))  # NaN is no height
    return max(ratios)


def draw_ctrl(runs: Mapping[str, tuple[str, Json]], file: Path) -> None:
    """Draw experiments by name of the published one, each with (title, report)."""
    figure, axes = _figure(2)
    for panel, number in zip(axes, ("mean_abs", "max_abs"), strict=True):
        for at, (experiment, (title, report)) in enumerate(runs.items()):
            theirs = published(experiment, number)
            panel.semilogy(curve_of(report, number), color=f"C{at}", label=title)
            values = [theirs[name] for name in TENSORS[2:]]
            panel.semilogy(values, color=f"C{at}", linestyle=":", linewidth=2)
        panel.set(xlabel="hidden state", ylabel=f"{number[:-4]} |reference - candidate|, float32")
        panel.grid(visible=True, which="major", alpha=0.3)
    axes[0].legend(fontsize=7)
    figure.suptitle("CTRL, 48 layers: ours (solid) and published (dotted)")
    figure.savefig(file, dpi=80)


def draw_losses(report: Json, file: Path) -> None:
    """Draw both sides' losses over the iterations, and their difference."""
    losses = [
        c["native"]
        for c in sorted(report["comparisons"], key=lambda c: c["key"]["iteration"])
        if c["key"]["kind"] == "loss"
    ]
    figure, axes = _figure(2)
    axes[0].plot([each["norm_reference"] for each in losses], label="reference")
    axes[0].plot([each["norm_candidate"] for each in losses], "--", label="candidate")
    axes[0].set(xlabel="iteration", ylabel="loss")
    axes[0].legend(fontsize=8)
    axes[1].plot([each["max_abs"] for each in losses], "o-")
    axes[1].set(xlabel="iteration", ylabel="difference of the losses")
    axes[1].ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    figure.suptitle("BERT, 10 iterations of AdamW")
    figure.savefig(file, dpi=80)


def draw_bars(bars: Mapping[str, float], title: str, label: str, file: Path) -> None:
    """Draw one logarithmic bar for each name."""
    figure = Figure(figsize=(8, 0.6 + 0.35 * len(bars)), layout="constrained")
    axes = figure.subplots()
    axes.barh(list(bars), list(bars.values()))
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.set(xlabel=label, title=title)
    axes.grid(visible=True, axis="x", alpha=0.3)
    figure.savefig(file, dpi=80)


def draw_layers(reports: Mapping[str, Json], title: str, file: Path) -> None:
    """Draw what the layers return, over the depth."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, report in reports.items():
        axes.semilogy(list(layers(report)), "o-", markersize=3, label=name)
    axes.set(xlabel="layer", ylabel="max |reference - candidate|", title=title)
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=80)


def layers(report: Json) -> Iterator[float]:
    """Greatest difference of what each decoder layer returns."""
    found = {}
    for c in report["comparisons"]:
        key = c["key"]
        layer = re.fullmatch(r".*\.layers\.(\d+)", key["path"])
        if layer and key["kind"] == "activation" and key["slot"] == "out.0":
            found[int(layer[1])] = c["native"]["max_abs"]
    yield from (found[at] for at in sorted(found))


def _figure(n_panels: int) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(10, 4), layout="constrained")
    return figure, figure.subplots(1, n_panels)
