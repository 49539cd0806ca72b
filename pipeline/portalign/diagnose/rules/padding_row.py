"""Zeros where the padding id is looked up: a padding row, or a mask over the embedded words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portalign.diagnose.confirm import Cause, Proposal
from portalign.diagnose.evidence import Numbers, Site, View
from portalign.diagnose.rule import Rule
from portalign.findings import OriginKind


def _propose(site: Site) -> Iterator[Proposal]:
    ours, theirs = site.reference.target, site.candidate.target
    if ours.ndim < 2 or ours.shape != theirs.shape:
        return
    is_zeroed = np.asarray((theirs == 0).all(axis=-1))
    for ids in _ids(site, ours.shape[:-1]):
        found = np.unique(ids[is_zeroed])
        if len(found) != 1 or (is_zeroed != (ids == found[0])).any():
            continue
        right = _rows(site.reference, ids, ours)
        if right is None:
            continue
        cause = Cause(
            "padding-row",
            f"what is looked up for id {found[0]:g} is zero, in the reference it is a row like "
            "the others",
            f"look id {found[0]:g} up as it is: no padding_idx, no mask over the embedded words",
            {"id": float(found[0])},
        )
        keep = ~is_zeroed[..., None]
        yield Proposal((cause,), np.where(keep, ours, 0.0), np.where(keep, theirs, right))
        return


def _ids(site: Site, shape: tuple[int, ...]) -> Iterator[Numbers]:
    for source in (*site.reference.inputs, *site.shared()):
        if source.array.dtype.kind in "iu" and source.array.shape == shape:
            yield np.asarray(source.array, np.float64)


def _rows(view: View, ids: Numbers, made: Numbers) -> Numbers | None:
    """What the rows should be: those of the module's table, or of the tensor that is passed on."""
    table = view.own_state().get("weight")
    if table is not None and table.ndim == 2 and ids.max() < len(table):
        rows: Numbers = np.asarray(table, np.float64)[ids.astype(int)]
        return rows
    for source in view.earlier:
        if source.array.shape == made.shape and (source.array == made).all():
            return np.asarray(source.array, np.float64)
    return None


RULE = Rule(
    name="padding-row",
    line="zeros stand where the padding id is looked up",
    kinds=frozenset({OriginKind.GLUE, OriginKind.MODULE}),
    propose=_propose,
)
