"""An embedding: one row of a table for every id."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portalign.diagnose.evidence import Numbers, Site, View
from portalign.diagnose.family import Family, Reading, Run
from portalign.findings import OriginKind


def _readings(site: Site) -> Iterator[tuple[Reading, Reading]]:
    if site.origin.kind is not OriginKind.MODULE:
        return
    ours, theirs = (_reading(view, site.reference) for view in (site.reference, site.candidate))
    if ours and theirs:
        yield ours, theirs


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


FAMILY = Family("embedding", _readings, _compute)
