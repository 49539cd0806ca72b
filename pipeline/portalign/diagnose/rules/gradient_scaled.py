"""A gradient that comes back times a number: halved, doubled, with the wrong sign."""

from __future__ import annotations

from collections.abc import Iterator

from portalign.diagnose.confirm import Cause, Proposal
from portalign.diagnose.evidence import Site
from portalign.diagnose.rule import Rule
from portalign.diagnose.words import nice, number
from portalign.findings import OriginKind


def _propose(site: Site) -> Iterator[Proposal]:
    ours, theirs = site.reference.target, site.candidate.target
    size = float((ours * ours).sum())
    if ours.shape != theirs.shape or not size or not theirs.any() or ours.size < 2:
        return
    for factor in nice(float((ours * theirs).sum()) / size):
        if not factor:
            continue
        cause = Cause(
            "gradient-scaled",
            f"the gradient that comes back here is {number(factor)} times the reference's",
            "look for a part that is detached, a mean for a sum, or a hook that scales it",
            {"factor": factor},
        )
        yield Proposal((cause,), modelled=factor * ours, repaired=theirs / factor)


RULE = Rule(
    name="gradient-scaled",
    line="the gradient that comes back is a number times the reference's; it is fitted",
    kinds=frozenset({OriginKind.BACKWARD}),
    propose=_propose,
)
