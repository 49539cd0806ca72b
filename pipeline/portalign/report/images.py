"""The two main plots as PNG: error growth along the depth, and training curves.

Drawn by matplotlib with its own fonts, without a display, a browser or a network. Words on them are
English in every language: the fonts that come with matplotlib have no Chinese.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from portalign.report.figures import Curve, curves, growths, relative
from portalign.report.plain import plain
from portalign.report.spots import spots
from portalign.results import StepReport

_INK, _DIM, _TWIN, _FAIL = "#1d1f23", "#666a73", "#0b8a8f", "#c22f17"
_REFERENCE, _CANDIDATE, _BAND, _LINE = "#2456c7", "#d1700c", "#e2e0da", "#e6e3dc"
_MAX_CURVES = 4
# Comes with matplotlib: no search among the machine's fonts, and no warning that one is missing.
_styled = rc_context({"font.family": "DejaVu Sans", "text.usetex": False})


@_styled
def growth_image(report: StepReport) -> bytes | None:
    """Error growth along the depth as PNG; None where a step has no depth."""
    shown = {spot.row for spot in spots(report, report.divergence.origins)}
    found = growths(report, shown)
    if not found:
        return None
    rows = found[0].rows
    values = [relative(report.comparisons[row]) for row in rows]
    native, twin, *own = (list(column) for column in zip(*values, strict=True))
    numbers = [value for column in (native, twin, *own) for value in column if value]
    floor = 10.0 ** (math.floor(math.log10(min(numbers))) - 1) if numbers else 1e-18
    figure, (axes,) = _figure(f"{report.port} {report.step.value}: {found[0].name}", 1)
    x = range(len(rows))
    larger = [max((value or 0.0 for value in pair), default=0.0) for pair in zip(*own, strict=True)]
    axes.fill_between(x, floor, _lifted(larger, floor), color=_BAND, lw=0, label="own rounding")
    mark = "o" if len(rows) <= 200 else None
    axes.plot(x, _lifted(twin, floor), marker=mark, ms=2.5, lw=1, c=_TWIN, label="float64")
    axes.plot(x, _lifted(native, floor), marker=mark, ms=3, lw=1.2, c=_INK, label="native")
    origins = [at for at, row in enumerate(rows) if row in shown]
    if origins:
        heights = [_lifted(native, floor)[at] for at in origins]
        axes.plot(origins, heights, "D", ms=8, c=_FAIL, mec="white", label="begins here")
    axes.set_yscale("log")
    axes.set_ylabel("relative difference", color=_DIM)
    axes.set_xlabel("module outputs in execution order", color=_DIM)
    axes.legend(frameon=False, ncols=4, loc="lower left", bbox_to_anchor=(0, 1), fontsize=8)
    return _png(figure)


@_styled
def curves_image(report: StepReport) -> bytes | None:
    """Both sides over the iterations and their difference below as PNG; None without curves."""
    found = curves(report)[:_MAX_CURVES]
    if not found:
        return None
    figure, axes = _figure(f"{report.port} {report.step.value}", len(found), n_rows=2)
    for above, below, curve in zip(axes[: len(found)], axes[len(found) :], found, strict=True):
        _draw(above, below, curve)
    axes[0].legend(frameon=False, fontsize=8)
    return _png(figure)


def _draw(above: Axes, below: Axes, curve: Curve) -> None:
    above.set_title(_shown(curve.name), fontsize=9, color=_INK)
    above.plot(curve.iterations, curve.reference, c=_REFERENCE, lw=1.5, label="reference")
    above.plot(curve.iterations, curve.candidate, c=_CANDIDATE, lw=1.5, ls="--", label="candidate")
    difference = [abs(a - b) for a, b in zip(curve.reference, curve.candidate, strict=True)]
    if any(value > 0 and math.isfinite(value) for value in difference):
        below.set_yscale("log")
    below.plot(curve.iterations, difference, c=_INK, lw=1.2)
    below.set_xlabel("iteration", color=_DIM)
    below.set_title("difference", fontsize=8, color=_DIM)


def _figure(title: str, n_columns: int, *, n_rows: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(max(9.0, 3.2 * n_columns), 4.2), dpi=110, layout="constrained")
    figure.suptitle(_shown(title), fontsize=10, color=_INK, x=0.01, ha="left")
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    axes = [each for row in grid for each in row]
    for each in axes:
        each.grid(axis="y", color=_LINE, lw=0.8)
        each.set_axisbelow(True)
        each.tick_params(which="both", labelsize=8, colors=_DIM, length=0)
        for spine in each.spines.values():
            spine.set_visible(False)
    return figure, axes


def _shown(name: str) -> str:
    """A name in letters that the font has, with no mathematics in it (matplotlib reads dollars)."""
    text = plain(name).encode("ascii", errors="backslashreplace").decode().replace("$", "\\$")
    return text if len(text) <= 100 else f"{text[:99]}..."


def _lifted(values: Sequence[float | None], floor: float) -> list[float]:
    """What is zero stands on the floor of the log axis; what is not a number leaves a gap."""
    return [math.nan if value is None else max(value, floor) for value in values]


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
