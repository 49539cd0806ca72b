"""A small sample of a tensor's values, kept beside the report so that pages can be made without the
captures: a histogram of the difference, a heatmap of one slice, the first values of both sides.

Kept for a bounded number of tensors, origins first and then the worst. Large tensors are thinned
evenly, in such a way that the worst element is always among what is looked at.
"""

from __future__ import annotations

import json
import math
from collections.abc import Container, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from portalign.mapping.pair import Pair
from portalign.records import Array
from portalign.report.codec import decode
from portalign.report.data import write_json
from portalign.report.document import worst_first
from portalign.report.spots import spots
from portalign.results import Comparison, StepReport

FILE_NAME = "samples.json"
MAX_SAMPLES = 120  # of a step: some 1.3 KB each, so at most half a megabyte for all four steps
N_VALUES = 8
N_BINS = 31
N_CELLS = 32  # of a heatmap, along each axis
LEVELS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ZERO, NOT_FINITE = ".", "!"  # cells of a heatmap that have no level
_MAX_ELEMENTS = 2**17  # of a tensor that are looked at: 2 ms, and a histogram is no finer
_DECADES = 6.0  # that a heatmap tells apart below its largest difference

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Heat:
    """One slice of the difference's size, coarsened by the maximum.

    Attributes:
        where: the slice, as one would index it ("[3, :, :]").
        rows, columns: cells.
        extent: elements that the cells cover, along both axes.
        cells: a character each, row by row: `ZERO`, `NOT_FINITE`, or one of `LEVELS` between the
            decimal logarithms `least` and `most`.
    """

    where: str
    rows: int
    columns: int
    extent: tuple[int, ...]
    cells: str
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Sample:
    """What is kept of one pair.

    Attributes:
        label: the pair's.
        reference, candidate: the first values of each side, in the reference's layout.
        edge: the histogram spans -edge to edge; 0 where nothing differs or nothing is finite.
        counts: elements by candidate minus reference (complex: its size), over the finite ones.
        n_seen: elements that were looked at.
        heat: None below two dimensions and where shapes differ.
    """

    label: str
    reference: tuple[str, ...]
    candidate: tuple[str, ...]
    edge: float
    counts: tuple[int, ...]
    n_seen: int
    heat: Heat | None


@dataclass(frozen=True, slots=True)
class Samples:
    """The file: what was kept of a step."""

    samples: tuple[Sample, ...]


def keep_samples(report: StepReport, pairs: Iterable[Pair], folder: Path) -> None:
    """Write ``samples.json`` into the step's folder.

    Args:
        report: the step, concluded.
        pairs: its pairs, whose arrays may be memory-mapped.
        folder: the step's.

    Raises:
        ReportError: the disk refuses.
    """
    (folder / FILE_NAME).unlink(missing_ok=True)  # an earlier one is of other values
    by_label = {pair.label: pair for pair in pairs}
    found = [
        sample(one, by_label[one.label].reference.array, by_label[one.label].candidate_values())
        for one in _chosen(report, by_label)
    ]
    write_json(Samples(tuple(found)), folder / FILE_NAME)


def read_samples(folder: Path) -> dict[str, Sample]:
    """What was kept of a step by label; nothing where nothing was, or where it can't be read."""
    with suppress(OSError, ValueError, RecursionError):
        data = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        return {each.label: each for each in decode(data, Samples).samples}
    return {}


def sample(one: Comparison, reference: Array, candidate: Array) -> Sample:
    """Sample one pair, both sides in the reference's layout.

    Args:
        one: its comparison, for the worst element.
        reference, candidate: values [*shape]; unequal shapes have first values only.
    """
    first = _first(reference), _first(candidate)
    if reference.shape != candidate.shape or reference.size == 0:
        return Sample(one.label, *first, 0.0, (), 0, None)
    worst = one.native.worst_index
    worst = worst if len(worst) == reference.ndim else (0,) * reference.ndim
    seen = _thinned(reference.shape, worst)
    difference = _difference(reference[seen], candidate[seen])
    finite = difference[np.isfinite(difference)]
    edge = float(np.abs(finite).max(initial=0.0))
    counts = np.histogram(finite, N_BINS, (-edge, edge))[0] if edge else np.zeros(0, np.int64)
    heat = _heat(reference, candidate, worst) if reference.ndim > 1 else None
    n_seen = int(difference.size)
    return Sample(one.label, *first, edge, tuple(counts.tolist()), n_seen, heat)


def _chosen(report: StepReport, known: Container[str]) -> list[Comparison]:
    """Origins, then the worst, of what has a pair; equal pairs have nothing to show."""
    rows = [spot.row for spot in spots(report, report.divergence.origins) if spot.row >= 0]
    origins = [report.comparisons[row] for row in rows]
    ranked = {one.label: one for one in (*origins, *worst_first(report.comparisons))}
    unlike = [one for one in ranked.values() if not one.native.is_bitwise_equal]
    return [one for one in unlike if one.label in known][:MAX_SAMPLES]


def _first(array: Array) -> tuple[str, ...]:
    flat = [array.flat[at] for at in range(min(N_VALUES, array.size))]
    return tuple(f"{value:.9g}" if array.dtype.kind not in "biu" else str(value) for value in flat)


def _difference(reference: Array, candidate: Array) -> Floats:
    """Candidate minus reference in float64; of complex numbers the size."""
    if "c" in (reference.dtype.kind, candidate.dtype.kind):
        return np.abs(candidate.astype(np.complex128) - reference.astype(np.complex128))
    with np.errstate(invalid="ignore"):  # infinities are told apart by who counts them
        found: Floats = candidate.astype(np.float64) - reference.astype(np.float64)
    return found


def _thinned(shape: Sequence[int], worst: Sequence[int]) -> tuple[slice, ...]:
    """Every n-th index along the first axes, so that few enough remain and the worst is one."""
    left, slices = math.prod(shape), []
    for length, at in zip(shape, worst, strict=True):
        step = min(length, math.ceil(left / _MAX_ELEMENTS))
        slices.append(slice(at % step, None, step))
        left = left // length * math.ceil(length / step)
    return tuple(slices)


def _heat(reference: Array, candidate: Array, worst: Sequence[int]) -> Heat:
    """The slice along the last two axes that holds the worst element."""
    lead = tuple(worst[:-2])
    planes = reference[lead], candidate[lead]  # [rows, columns]
    seen = _thinned(planes[0].shape, worst[-2:])
    size = np.abs(_difference(planes[0][seen], planes[1][seen]))
    for axis in (0, 1):
        starts = np.unique(np.linspace(0, size.shape[axis], N_CELLS + 1, dtype=int)[:-1])
        size = np.maximum.reduceat(size, starts, axis=axis)  # NaN stays NaN
    most = float(np.max(size, where=np.isfinite(size), initial=0.0))
    high = math.log10(most) if most else 0.0
    positive = size[np.isfinite(size) & (size > 0)]
    low = max(float(np.log10(positive.min(initial=most))) if most else 0.0, high - _DECADES)
    return Heat(
        where=f"[{', '.join([*map(str, lead), ':', ':'])}]",
        rows=size.shape[0],
        columns=size.shape[1],
        extent=planes[0].shape,
        cells="".join(_cell(float(value), low, high) for value in size.ravel()),
        least=low,
        most=high,
    )


def _cell(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return NOT_FINITE
    if value == 0:
        return ZERO
    share = (math.log10(value) - low) / (high - low) if high > low else 1.0
    return LEVELS[round(min(max(share, 0.0), 1.0) * (len(LEVELS) - 1))]
