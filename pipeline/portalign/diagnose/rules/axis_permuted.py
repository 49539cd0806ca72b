"""One axis in another order: BGR for RGB, channels shuffled, halves exchanged, flattening."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portalign.diagnose.confirm import Cause, Proposal
from portalign.diagnose.evidence import Numbers, Site
from portalign.diagnose.orders import known, said
from portalign.diagnose.rule import Rule
from portalign.findings import OriginKind


def _propose(site: Site) -> Iterator[Proposal]:
    ours, theirs = site.reference.target, site.candidate.target
    if ours.shape != theirs.shape or not np.isfinite(ours).all() or not np.isfinite(theirs).all():
        return
    for axis in reversed(range(ours.ndim)):
        order = _order(np.moveaxis(ours, axis, 0), np.moveaxis(theirs, axis, 0))
        if order is None:
            continue
        cause = Cause(
            "axis-permuted",
            f"axis {axis} of {len(order)} stands {said(order)}",
            "bring the axis into the reference's order, in code or once in the weights",
        )
        yield Proposal(
            (cause,),
            modelled=np.take(ours, order, axis),
            repaired=np.take(theirs, np.argsort(order), axis),
        )


def _order(ours: Numbers, theirs: Numbers) -> list[int] | None:
    """Which slice of ours each slice of theirs is; None if they aren't the same slices."""
    n, size = len(ours), float(np.abs(ours).max(initial=0.0))
    if n < 2 or not ours.size or not size:
        return None
    rows = [each.reshape(n, -1) / size for each in (ours, theirs)]
    for usual in known(n):  # equal slices leave a choice, and then it is one of these
        if (rows[0][usual] == rows[1]).all():
            return usual
    mix = np.random.default_rng(0).normal(size=rows[0].shape[1])
    keys = [each @ mix for each in rows]
    places = [np.argsort(key, kind="stable") for key in keys]
    gaps = np.abs(keys[0][places[0]] - keys[1][places[1]])
    if not (gaps <= 1e-9 * np.abs(keys[0]).max()).all():
        return None
    order = np.empty(n, int)
    order[places[1]] = places[0]
    found = [int(at) for at in order]
    return found if found != sorted(found) else None


RULE = Rule(
    name="axis-permuted",
    line="an axis stands in another order (BGR, shuffled channels, another flattening)",
    kinds=frozenset({OriginKind.GLUE, OriginKind.MODULE}),
    propose=_propose,
)
