"""The series of the two main plots: error growth along the depth, and training curves.

Page and PNG draw the same numbers, so they are chosen here, once: which pairs stand on the axis, in
which order, and which are left out where there are too many to be drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from portalign.records import Kind
from portalign.results import Comparison, StepReport

MAX_POINTS = 1000  # of one series; more can't be told apart on a screen
_FLOAT64 = " float64"  # ending of a curve's name in `StepReport.curves`


@dataclass(frozen=True, slots=True)
class Growth:
    """One walk along the depth.

    Attributes:
        name: "outputs of modules", "gradients", ...
        rows: indices into the report's comparisons, in execution order.
        n_all: how many there were before thinning.
    """

    name: str
    rows: tuple[int, ...]
    n_all: int


@dataclass(frozen=True, slots=True)
class Curve:
    """One number over the iterations, on both sides.

    Attributes:
        name: "loss", "learning rate", ...
        iterations: x of every point; not consecutive where points were left out.
        reference, candidate: as they ran.
        twin_reference, twin_candidate: of the float64 twins; empty where there are none.
    """

    name: str
    iterations: tuple[int, ...]
    reference: tuple[float, ...]
    candidate: tuple[float, ...]
    twin_reference: tuple[float, ...]
    twin_candidate: tuple[float, ...]


def growths(report: StepReport, shown: Container[int] = ()) -> tuple[Growth, ...]:
    """The walks that a step has anything for, the most telling first.

    A walk of fewer than two pairs is no walk. Where there are more than `MAX_POINTS`, each stretch
    of neighbours is drawn by its worst: what fails is never lost between pairs that pass.

    Args:
        report: the step.
        shown: rows that show an origin: they are never left out, and one that shows on an input is
            a point of its own between the outputs.
    """
    last = max((c.key.iteration for c in report.comparisons if _is_weight(c)), default=0)
    walks: dict[str, Callable[[Comparison], bool]] = {
        "outputs of modules": _is_output,
        "outputs of the model": lambda c: c.key.kind is Kind.OUTPUT,
        "gradients of parameters": _is_parameter_gradient,
        "gradients of activations": _is_inner_gradient,
        f"weights after iteration {last}": lambda c: _is_weight(c) and c.key.iteration == last > 0,
        "predictions, batch by batch": lambda c: c.key.kind is Kind.PREDICTION,
    }
    found = []
    for name, belongs in walks.items():
        rows = [
            row
            for row, one in enumerate(report.comparisons)
            if belongs(one) or (belongs is _is_output and row in shown and _is_inner(one))
        ]
        rows.sort(key=lambda row: report.comparisons[row].order)
        if len(rows) > 1:
            found.append(Growth(name, _thinned(rows, report.comparisons, shown), len(rows)))
    return tuple(found)


def relative(one: Comparison) -> tuple[float | None, float | None, float | None, float | None]:
    """Native difference, float64 difference, and each side's own rounding, relative to the
    reference's norm; None where there is no finite number.
    """
    norm = one.native.norm_reference
    own = (one.own_reference, one.own_candidate)
    if one.native.is_bitwise_equal:
        own = (None, None)
    return (
        _finite(one.native.rel_frobenius),
        _finite(one.twin.rel_frobenius) if one.twin else None,
        _finite(own[0] / norm) if own[0] is not None and norm else None,
        _finite(own[1] / norm) if own[1] is not None and norm else None,
    )


def curves(report: StepReport) -> tuple[Curve, ...]:
    """Loss, gradient norm, clipping and learning rate over the iterations, as far as recorded."""
    found = []
    for name, sides in report.curves.items():
        if name.endswith(_FLOAT64):
            continue
        reference, candidate = sides.get("reference", ()), sides.get("candidate", ())
        n_points = min(len(reference), len(candidate))
        twins = report.curves.get(f"{name}{_FLOAT64}", {})
        lifted = [twins.get(role, ()) for role in ("reference", "candidate")]
        has_twins = all(len(values) == len(reference) for values in lifted)
        at = _telling(reference[:n_points], candidate[:n_points])
        found.append(
            Curve(
                _NAMES.get(name, name),
                at,
                _pick(reference, at),
                _pick(candidate, at),
                _pick(lifted[0], at) if has_twins else (),
                _pick(lifted[1], at) if has_twins else (),
            )
        )
    return tuple(found)


_NAMES = {
    "lr": "learning rate",
    "global.norm": "gradient norm",
    "global.clip_coefficient": "clipping coefficient",
}


def _is_inner(one: Comparison) -> bool:
    return one.key.kind is Kind.ACTIVATION and one.key.iteration == 0


def _is_output(one: Comparison) -> bool:
    """Of a module within the model: what the root gives out has no depth of its own."""
    return _is_inner(one) and one.key.slot.startswith("out") and one.key.path != ""


def _is_parameter_gradient(one: Comparison) -> bool:
    key = one.key
    is_inner = key.slot.startswith(("in.", "out."))
    return key.kind is Kind.GRADIENT and key.iteration == 0 and not is_inner


def _is_inner_gradient(one: Comparison) -> bool:
    key = one.key
    is_inner = key.slot.startswith(("in.", "out."))
    return key.kind is Kind.GRADIENT and key.iteration == 0 and is_inner


def _is_weight(one: Comparison) -> bool:
    return one.key.kind is Kind.PARAMETER


def _thinned(
    rows: Sequence[int], comparisons: Sequence[Comparison], kept: Container[int]
) -> tuple[int, ...]:
    """About `MAX_POINTS` of the rows: of each stretch the worst, and all that are kept."""
    if len(rows) <= MAX_POINTS:
        return tuple(rows)
    width = math.ceil(len(rows) / MAX_POINTS)

    def weight(row: int) -> tuple[int, float]:
        return comparisons[row].outcome.severity, relative(comparisons[row])[0] or 0.0

    stretches = (rows[start : start + width] for start in range(0, len(rows), width))
    chosen = {max(stretch, key=weight) for stretch in stretches}
    chosen |= {row for row in rows if row in kept}
    return tuple(row for row in rows if row in chosen)


def _telling(reference: Sequence[float], candidate: Sequence[float]) -> tuple[int, ...]:
    """Which points of a long curve to draw: of each stretch the one that differs most."""
    n_points = len(reference)
    if n_points <= MAX_POINTS:
        return tuple(range(n_points))
    width = math.ceil(n_points / MAX_POINTS)

    def difference(at: int) -> float:
        found = abs(reference[at] - candidate[at])
        return math.inf if math.isnan(found) else found

    chosen = {
        max(range(start, min(start + width, n_points)), key=difference)
        for start in range(0, n_points, width)
    }
    return tuple(sorted({0, *chosen, n_points - 1}))


def _pick(values: Sequence[float], at: Sequence[int]) -> tuple[float, ...]:
    return tuple(values[i] for i in at)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
