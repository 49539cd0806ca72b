"""A mask made otherwise: hidden and seen exchanged, or too weak a value for what is hidden."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portalign.diagnose.confirm import Cause, Proposal
from portalign.diagnose.evidence import Numbers, Site
from portalign.diagnose.rule import Rule
from portalign.findings import OriginKind


def _propose(site: Site) -> Iterator[Proposal]:
    ours, theirs = site.reference.target, site.candidate.target
    if ours.shape != theirs.shape or not ours.size:
        return
    values = [value for value in map(_hiding, (ours, theirs)) if value is not None]
    if len(values) != 2:
        return
    hidden, other = ours != 0, theirs != 0
    if (hidden == other).all():
        yield Proposal(
            (_weak(*values),), np.where(hidden, values[1], 0.0), np.where(other, values[0], 0.0)
        )
    elif (hidden != other).all():
        cause = Cause(
            "mask-changed",
            "the mask is inverted: it hides what the reference shows, and shows what it hides",
            "exchange hidden and seen where the mask is made: (1 - mask) * value",
        )
        yield Proposal((cause,), np.where(hidden, 0.0, values[1]), np.where(other, 0.0, values[0]))


def _hiding(mask: Numbers) -> float | None:
    """The only value besides 0; None if there are others, or none."""
    found = np.unique(mask)
    return float(found.min()) if len(found) == 2 and 0.0 in found and found.min() < 0 else None


def _weak(ours: float, theirs: float) -> Cause:
    return Cause(
        "mask-changed",
        f"the mask adds {theirs:.4g} to what it hides, the reference {ours:.4g}: "
        + (
            "too little to hide it from the softmax"
            if theirs > ours
            else "the reference lets a little through"
        ),
        f"add {ours:.4g}, or -inf where no row is hidden as a whole",
        {"reference value": ours, "candidate value": theirs},
    )


RULE = Rule(
    name="mask-changed",
    line="a mask tensor is inverted, or what it adds to hidden places is another value",
    kinds=frozenset({OriginKind.GLUE}),
    propose=_propose,
)
