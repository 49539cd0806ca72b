"""An embedding: one row of a table for every id."""

from __future__ import annotations

from functools import partial

import numpy as np

from portalign.diagnose.evidence import Numbers, View
from portalign.diagnose.family import Family, Reading, Run, of_module


def _reading(view: View, reference: View) -> Reading | None:
    table = reference.own_state().get("weight")
    ids = [source.array for source in view.inputs if source.array.dtype.kind in "iu"]
    if table is None or table.ndim != 2 or len(ids) != 1:
        return None
    if view.target.shape != (*ids[0].shape, table.shape[1]):
        return None
    tensors = {"ids": np.asarray(ids[0], np.float64), "weight": np.asarray(table, np.float64)}
    return Reading(view, tensors)


def _compute(reading: Reading, run: Run) -> Numbers:
    ids = run("ids", reading.tensors["ids"]).astype(np.int64)
    return run("output", run("weight", reading.tensors["weight"])[ids])


FAMILY = Family("embedding", partial(of_module, _reading), _compute)
