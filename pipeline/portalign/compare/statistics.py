"""What a batch norm makes of its running statistics, read off its own tensors.

One side alone is enough: its inputs give each batch's mean and variance, and its buffers before and
after tell which share of them was taken, and whether the variance was the biased one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import numpy.typing as npt

from portalign.records import Array, Kind, Precision, TensorKey, TensorRecord

Numbers = npt.NDArray[np.float64]
Records = Mapping[TensorKey, TensorRecord]

SLOTS = {"running_var": "running_mean", "_variance": "_mean"}  # variance -> mean
_INPUT_SLOTS = ("in.0", "in.input")


@final
@dataclass(frozen=True, slots=True)
class Statistics:
    """What one batch norm makes of its running statistics, read off its own tensors.

    Attributes:
        share: of each batch in them: torch's momentum, one minus paddle's; 0: they are frozen.
        factor: the running variance takes this times the biased variance of a batch.
        n: elements per channel in a batch.
        n_calls: of the module in an iteration.
        misfit: what that leaves unexplained, relative to what changed, the larger of mean's and
            variance's; NaN where nothing changes.
    """

    share: float
    factor: float
    n: int
    n_calls: int
    misfit: float


@final
@dataclass(frozen=True, slots=True)
class Iteration:
    """One batch norm in its first iteration: its buffers before and after, each batch's moments.

    Attributes:
        mean, variance: before and after, each [channels].
        batches: mean and biased variance of what went in, one pair for each call.
        n: elements per channel in a call.
    """

    mean: tuple[Numbers, Numbers]
    variance: tuple[Numbers, Numbers]
    batches: tuple[tuple[Numbers, Numbers], ...]
    n: int

    def made(self, *, share: float, factor: float) -> tuple[Numbers, Numbers]:
        """Mean and variance afterwards, had they taken this share, and this factor of variances."""
        variances = [factor * variance for _, variance in self.batches]
        mean, _ = _folded(self.mean[0], [mean for mean, _ in self.batches], share)
        return mean, _folded(self.variance[0], variances, share)[0]


def first_iteration(records: Records, key: TensorKey) -> Iteration | None:
    """Read one side's first iteration, in float64 where that was captured.

    Args:
        records: of that side, its initial state among them.
        key: of the running variance.

    Returns:
        None where the module's inputs or its buffers weren't recorded.
    """
    for precision in reversed(Precision):
        inputs = _inputs(records, key.path, precision)
        state = _state(records, key, precision)
        if not inputs or not state or len({each.shape for each in state}) > 1:
            continue
        moments = [_moments(array, state[0].size) for array in inputs]
        batches = tuple(each for each in moments if each is not None)
        if len(batches) == len(inputs):
            n = inputs[0].size // state[0].size
            return Iteration((state[0], state[1]), (state[2], state[3]), batches, n)
    return None


def still(records: Records, key: TensorKey, other: Iteration) -> Iteration | None:
    """The same of a side whose module was never called, if its statistics never changed: with the
    other side's batches.
    """
    for precision in reversed(Precision):
        state = _state(records, key, precision)
        is_still = len(state) == 4 and all(map(np.array_equal, state[::2], state[1::2]))
        if is_still and state[0].shape == other.mean[0].shape:
            return replace(other, mean=(state[0], state[1]), variance=(state[2], state[3]))
    return None


def statistics(one: Iteration) -> Statistics:
    """Fit share and factor."""
    means = [mean for mean, _ in one.batches]
    share = _share(*one.mean, means)
    old = one.made(share=share, factor=0.0)[1]
    factor = slope(one.made(share=share, factor=1.0)[1] - old, one.variance[1] - old)
    mean, variance = one.made(share=share, factor=factor)
    misfits = (
        _ratio(one.mean[1] - mean, one.mean[1] - one.mean[0]),
        _ratio(one.variance[1] - variance, one.variance[1] - one.variance[0]),
    )
    return Statistics(share, factor, one.n, len(one.batches), max(misfits))


def _state(records: Records, key: TensorKey, precision: Precision) -> list[Numbers]:
    """Mean before and after the first iteration, then the variance; empty where one is missing."""
    found = [
        records.get(replace(key, slot=slot, iteration=iteration, precision=at))
        for slot in (SLOTS[key.slot], key.slot)
        for iteration, at in ((0, Precision.NATIVE), (1, precision))
    ]
    state = [wide(record.array) for record in found if record is not None]
    return state if len(state) == len(found) else []


def _inputs(records: Records, path: str, precision: Precision) -> list[Numbers]:
    """What went into a module in the first iteration, one array for each call."""
    found: list[Numbers] = []
    for call in range(len(records)):
        keys = (TensorKey(Kind.ACTIVATION, path, slot, call, 0, precision) for slot in _INPUT_SLOTS)
        record = next((records[key] for key in keys if key in records), None)
        if record is None or record.array.ndim < 2:
            break
        found.append(wide(record.array))
    return found


def _moments(array: Numbers, n_channels: int) -> tuple[Numbers, Numbers] | None:
    """Mean and biased variance by channel; None where no axis holds the channels."""
    axis = next((at for at in (1, array.ndim - 1) if array.shape[at] == n_channels), None)
    if axis is None:
        return None
    flat = np.moveaxis(array, axis, 0).reshape(n_channels, -1)
    return flat.mean(axis=1), flat.var(axis=1)


def _share(before: Numbers, after: Numbers, means: Sequence[Numbers]) -> float:
    """The share of each batch that leads from the mean before to the one after, by Gauss-Newton."""
    if np.array_equal(before, after):
        return 0.0
    share = 0.1
    for _ in range(20):
        reached, derivative = _folded(before, means, share)
        share += slope(derivative, after - reached)
    return share


def _folded(start: Numbers, batches: Sequence[Numbers], share: float) -> tuple[Numbers, Numbers]:
    """A running statistic after all batches, and its derivative by the share."""
    value, derivative = start, np.zeros_like(start)
    for batch in batches:
        derivative = (1.0 - share) * derivative + (batch - value)
        value = value + share * (batch - value)
    return value, derivative


def slope(along: Numbers, values: Numbers) -> float:
    """The factor that brings one array nearest to another; 0 for an array of zeros."""
    size = float(along @ along)
    return float(along @ values) / size if size else 0.0


def _ratio(left: Numbers, whole: Numbers) -> float:
    size = float(np.linalg.norm(whole))
    return float(np.linalg.norm(left)) / size if size else math.nan


def wide(array: Array) -> Numbers:
    return np.asarray(array, np.float64)
