"""Batch norm: per channel, by running statistics or by the batch's own."""

from __future__ import annotations

from functools import partial

import numpy as np

from portalign.diagnose.evidence import Numbers, View
from portalign.diagnose.family import Family, Reading, Run, of_module

_SLOTS = {
    "weight": "weight",
    "bias": "bias",
    "running_mean": "mean",
    "_mean": "mean",
    "running_var": "variance",
    "_variance": "variance",
}


def _reading(view: View, reference: View) -> Reading | None:
    state = reference.own_state()
    found = {
        name: np.asarray(state[slot], np.float64) for slot, name in _SLOTS.items() if slot in state
    }
    inputs = [s.array for s in view.inputs if s.array.shape == view.target.shape]
    if not {"mean", "variance"} <= found.keys() or len(inputs) != 1 or view.target.ndim < 2:
        return None
    if any(values.shape != view.target.shape[1:2] for values in found.values()):
        return None
    return Reading(view, {"x": np.asarray(inputs[0], np.float64), **found})


def _compute(reading: Reading, run: Run) -> Numbers:
    x = reading.tensors["x"]  # [batch, channels, ...]
    shape = (1, -1, *[1] * (x.ndim - 2))
    mean = run("mean", reading.tensors["mean"])
    variance = run("variance", run("statistics", reading.tensors["variance"]))
    deviation = run("deviation", np.sqrt(variance))
    made = (x - mean.reshape(shape)) / deviation.reshape(shape)
    if "weight" in reading.tensors:
        made = made * run("weight", reading.tensors["weight"]).reshape(shape)
    if "bias" in reading.tensors:
        made = made + run("bias", reading.tensors["bias"]).reshape(shape)
    return made


FAMILY = Family("batch-norm", partial(of_module, _reading), _compute)
