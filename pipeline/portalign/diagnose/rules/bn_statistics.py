"""Batch norm by other statistics: the batch's own (train mode), initial ones, misread ones."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_BATCH, _INITIAL = "the batch's own statistics (train mode)", "the initial statistics 0 and 1"
_NO_MEAN, _NO_VARIANCE = "a running mean of 0", "a running variance of 1"
_DEVIATION = "the running variance as the standard deviation"
_ROOT = "the running standard deviation as the variance"


def _mean(mean: Numbers, way: Value, reading: Reading) -> Numbers:
    if way == _BATCH:
        x = reading.tensors["x"]
        batch: Numbers = x.mean(axis=(0, *range(2, x.ndim)))
        return batch
    return np.zeros_like(mean) if way in (_INITIAL, _NO_MEAN) else mean


def _variance(variance: Numbers, way: Value, reading: Reading) -> Numbers:
    if way == _BATCH:
        x = reading.tensors["x"]
        batch: Numbers = x.var(axis=(0, *range(2, x.ndim)))
        return batch
    if way in (_INITIAL, _NO_VARIANCE):
        return np.ones_like(variance)
    if way == _DEVIATION:
        return variance * variance
    return np.sqrt(variance) if way == _ROOT else variance


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (_BATCH, _INITIAL, _NO_MEAN, _NO_VARIANCE, _DEVIATION, _ROOT)


def _tell(turned: Turned) -> Words:
    ways = [way or "the running statistics" for way in (turned.reference, turned.candidate)]
    remedies = {
        _BATCH: "call model.eval() before the forward pass",
        _INITIAL: "load the running statistics (paddle: _mean and _variance)",
        _NO_MEAN: "load the running mean (paddle: _mean)",
        _NO_VARIANCE: "load the running variance (paddle: _variance)",
    }
    return Words(
        f"the batch norm uses {ways[1]} where the reference uses {ways[0]}",
        remedies.get(turned.candidate, f"use {ways[0]}"),
    )


RULE = Knob(
    name="bn-statistics",
    line="batch norm by other statistics: the batch's own, initial ones, variance for deviation",
    families=("batch-norm",),
    acts={"mean": _mean, "statistics": _variance},
    values=_values,
    tell=_tell,
)
