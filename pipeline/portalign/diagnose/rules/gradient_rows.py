"""Rows of a table that get no gradient: the padding id of an embedding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portalign.diagnose.confirm import Cause, Proposal
from portalign.diagnose.evidence import Site
from portalign.diagnose.rule import Rule
from portalign.findings import OriginKind

_MOST = 4  # rows


def _propose(site: Site) -> Iterator[Proposal]:
    ours, theirs = site.reference.target, site.candidate.target
    if ours.shape != theirs.shape or ours.ndim != 2 or not ours.any() or not theirs.any():
        return
    lives = [np.asarray(values.any(axis=1)) for values in (ours, theirs)]
    rows = np.flatnonzero(lives[0] != lives[1])
    if not 0 < len(rows) <= _MOST or len(rows) == len(ours):
        return
    is_dead = not lives[1][rows].any()
    if not is_dead and lives[0][rows].any():
        return
    modelled, repaired = ours.copy(), theirs.copy()
    modelled[rows], repaired[rows] = theirs[rows], ours[rows]
    names = ", ".join(map(str, rows))
    sides = ("candidate", "reference") if is_dead else ("reference", "candidate")
    cause = Cause(
        "gradient-rows",
        f"row {names} gets no gradient in the {sides[0]}, in the {sides[1]} it does",
        f"build the {sides[0] if is_dead else sides[1]}'s embedding "
        f"{'without' if is_dead else 'with'} padding_idx={names}",
    )
    yield Proposal((cause,), modelled=modelled, repaired=repaired)


RULE = Rule(
    name="gradient-rows",
    line="a row of an embedding gets no gradient on one side (padding_idx)",
    kinds=frozenset({OriginKind.BACKWARD}),
    propose=_propose,
)
