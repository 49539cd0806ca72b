"""An activation at another place: before a sum instead of after it, or left out around it."""

from __future__ import annotations

from collections.abc import Iterator

from portalign.diagnose.confirm import Proposal
from portalign.diagnose.evidence import Site
from portalign.diagnose.rule import Rule
from portalign.diagnose.sums import gap, proposed, told
from portalign.findings import OriginKind


def _propose(site: Site) -> Iterator[Proposal]:
    found = gap(site)
    if found is None or found[0].reference.sources != found[0].candidate.sources:
        return
    ours, theirs = found[0].reference, found[0].candidate
    functions = [
        (each.function, tuple(term.function for term in each.terms)) for each in (ours, theirs)
    ]
    if functions[0] == functions[1]:
        return
    yield proposed(
        site,
        found[0],
        rule="function-place",
        claim=f"the candidate makes {told(theirs, site)}, the reference {told(ours, site)}",
        remedy=f"make {told(ours, site)}",
    )


RULE = Rule(
    name="function-place",
    line="an activation stands before a sum instead of after it, or is left out around it",
    kinds=frozenset({OriginKind.GLUE, OriginKind.MODULE}),
    propose=_propose,
)
