"""Ids that are shifted, constant, or another tensor: positions from 2, token types ignored."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portalign.diagnose.confirm import Cause, Proposal
from portalign.diagnose.evidence import Numbers, Site
from portalign.diagnose.rule import Rule
from portalign.diagnose.words import near
from portalign.findings import OriginKind


def _propose(site: Site) -> Iterator[Proposal]:
    ours, theirs = site.reference, site.candidate
    kinds = {view.made.dtype.kind for view in (ours, theirs)}
    if not kinds <= set("iu") or ours.target.shape != theirs.target.shape:
        return
    offsets = np.unique(theirs.target - ours.target)
    if len(offsets) == 1:
        cause = Cause(
            "ids-changed",
            f"the ids are {offsets[0]:+g} against the reference's: they start at "
            f"{theirs.target.min():g} where the reference's start at {ours.target.min():g}",
            f"subtract {offsets[0]:g}" if offsets[0] > 0 else f"add {-offsets[0]:g}",
            {"offset": float(offsets[0])},
        )
        yield Proposal((cause,), ours.target + offsets[0], theirs.target - offsets[0])
        return
    given = _given(site, ours.target)
    what = _said(site, theirs.target)
    if given and what:
        name, values = given
        cause = Cause(
            "ids-changed",
            f"the ids are {what[0]}, the reference takes {name}",
            f"pass {name} on to it",
        )
        yield Proposal((cause,), what[1], values)


def _said(site: Site, target: Numbers) -> tuple[str, Numbers] | None:
    found = np.unique(target)
    if len(found) == 1:
        return f"all {found[0]:g}", np.full(target.shape, found[0])
    return _given(site, target)


def _given(site: Site, target: Numbers) -> tuple[str, Numbers] | None:
    """An earlier tensor of integers that is the target."""
    for source in site.shared():
        values = np.asarray(source.array, np.float64) if source.array.dtype.kind in "iu" else None
        if values is not None and values.shape == target.shape and (values == target).all():
            return near(source.name, site.origin.path), values
    return None


RULE = Rule(
    name="ids-changed",
    line="integer ids are shifted, constant or another tensor (positions, token types)",
    kinds=frozenset({OriginKind.GLUE}),
    propose=_propose,
)
