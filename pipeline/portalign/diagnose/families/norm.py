"""Norms over the last axis: LayerNorm, RMSNorm and what lies between."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portalign.diagnose.evidence import Numbers, Site, View
from portalign.diagnose.family import Family, Reading, Run
from portalign.findings import OriginKind


def _readings(site: Site) -> Iterator[tuple[Reading, Reading]]:
    if site.origin.kind is not OriginKind.MODULE:
        return
    ours, theirs = _reading(site.reference), _reading(site.candidate)
    if ours and theirs:
        yield ours, theirs


def _reading(view: View) -> Reading | None:
    width = view.target.shape[-1:]
    state = {slot: a for slot, a in view.own_state().items() if a.shape == width}
    inputs = [s.array for s in view.inputs if s.array.shape == view.target.shape]
    if len(inputs) != 1 or inputs[0].dtype.kind in "iub" or len(state) != len(view.own_state()):
        return None
    tensors = {slot: np.asarray(array, np.float64) for slot, array in state.items()}
    return Reading(view, {"x": np.asarray(inputs[0], np.float64), **tensors})


def _compute(reading: Reading, run: Run) -> Numbers:
    x = run("centred", reading.tensors["x"])  # [..., width]
    variance = run("variance", np.mean(x * x, axis=-1, keepdims=True))
    normed = x / run("deviation", np.sqrt(variance))
    weight, bias = (reading.tensors.get(slot) for slot in ("weight", "bias"))
    if weight is not None:
        normed = normed * run("weight", weight)
    return run("output", normed if bias is None else normed + run("bias", bias))


FAMILY = Family("norm", _readings, _compute)
