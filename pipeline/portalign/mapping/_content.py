"""What equal values can tell of a pairing: how a tensor lies, and, as the last resort, which it is.

Values agree by accident more often than one thinks - zeros, masks, positions, a residual's copies -
so each guard here leaves a tensor alone, and a pair must be the only one of its kind on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import numpy as np

from portalign.mapping._relayouts import Relayout, relayouts
from portalign.records import Array, Precision, TensorKey, TensorRecord

# Frobenius norms, as in `compare.tolerance`: between twins bugs began at 5.6e-8 and rewrites ended
# at 1.1e-15; natively only float32 has digits enough, and faithful pairs were up to 1e-6 apart.
_RELATIVE = {"float64": 1e-9, "float32": 1e-5}
# Fewer different values than this may coincide: a mask has two, one-hot rows have two.
_LEAST_VALUES = 16
_MOST_SAMPLED = 4096
_MOST_ELEMENTS = 2**24  # 128 MiB in float64; of what is larger no copy is made to try layouts


@final
@dataclass(frozen=True)
class Values:
    """The numbers that speak for a record: its float64 twin's, or its own where there is none.

    Attributes:
        relative: how far two of them may be apart in Frobenius norm.
    """

    array: Array
    relative: float

    @cached_property
    def summary(self) -> tuple[float, float, float]:
        """Smallest and greatest value and Frobenius norm: the same in any layout."""
        return float(self.array.min()), float(self.array.max()), _norm(self.array)


def values_of(record: TensorRecord, twins: Mapping[TensorKey, TensorRecord]) -> Values | None:
    """The numbers of a record; None where they can tell nothing.

    They must be real, finite and many, and neither whole numbers nor evenly spaced: counters,
    positions and masks are equal at places that have nothing to do with each other.

    Args:
        twins: records of that side by key; where a twin is among them, it speaks.
    """
    twin = twins.get(replace(record.key, precision=Precision.FLOAT64))
    array = record.array if twin is None else twin.array
    if array.dtype.name not in _RELATIVE or array.size > _MOST_ELEMENTS:
        return None
    return Values(array, _RELATIVE[array.dtype.name]) if _is_telling(array) else None


def relayout_between(reference: Values, candidate: Values) -> Relayout | None:
    """The only way of lying otherwise in which the values agree; None if none does, or several."""
    relative = max(reference.relative, candidate.relative)
    ours, theirs = reference.array, candidate.array
    found = [
        each
        for each in relayouts(ours.shape, theirs.shape)
        if _agree_at_samples(each, ours, theirs, relative)
        and _agree(each.layout().forward(ours), theirs, relative)
    ]
    return found[0] if len(found) == 1 else None


def are_alike(first: Values, second: Values) -> bool:
    """Whether two tensors may hold the same values in whatever order: extremes and norm agree."""
    ours, theirs = first.summary, second.summary
    allowed = max(first.relative, second.relative) * ours[-1]
    return all(abs(a - b) <= allowed for a, b in zip(ours, theirs, strict=True))


def _is_telling(array: Array) -> bool:
    sample = array.reshape(-1)[:: max(1, array.size // _MOST_SAMPLED)].astype(np.float64)
    if array.size < _LEAST_VALUES or not np.isfinite(sample).all():
        return False
    values = np.unique(sample)
    gaps = np.diff(values)
    gaps = gaps[gaps > 1e-9 * np.abs(sample).max()]
    if len(gaps) < _LEAST_VALUES - 1:
        return False
    steps = (values - values[0]) / gaps.min()  # whole numbers where the values are evenly spaced
    return bool(np.abs(steps - np.round(steps)).max() > 1e-3)


def _agree_at_samples(way: Relayout, ours: Array, theirs: Array, relative: float) -> bool:
    """A cheap test of a few elements before all of them are laid out."""
    flat = np.unique(np.linspace(0, theirs.size - 1, 64).astype(np.int64))
    a = ours.reshape(-1)[way.places(flat)].astype(np.float64)
    b = theirs.reshape(-1)[flat].astype(np.float64)
    return bool(np.abs(a - b).max() <= relative * _norm(theirs))


def _agree(ours: Array, theirs: Array, relative: float) -> bool:
    difference = np.subtract(ours, theirs, dtype=np.float64)
    return bool(_norm(difference) <= relative * _norm(theirs))


def _norm(array: Array) -> float:
    flat = array.reshape(-1).astype(np.float64, copy=False)
    return float(np.sqrt(flat @ flat))
