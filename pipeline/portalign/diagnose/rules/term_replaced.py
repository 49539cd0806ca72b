"""A tensor in the place of another: a residual from behind the norm, pre-norm for post-norm."""

from __future__ import annotations

from collections.abc import Iterator

from portalign.diagnose.confirm import Proposal
from portalign.diagnose.evidence import Site
from portalign.diagnose.rule import Rule
from portalign.diagnose.sums import gap, named, proposed
from portalign.findings import OriginKind


def _propose(site: Site) -> Iterator[Proposal]:
    found = gap(site)
    if found is None or not found[1].has_one_function:
        return
    missing, added = found[1].missing, found[1].added
    same = {term.source for term in missing} == {term.source for term in added}
    if not missing or not added or same or not found[0].candidate.terms:
        return
    ours, theirs = (" + ".join(named(t, site) for t in terms) for terms in (missing, added))
    yield proposed(
        site,
        found[0],
        rule="term-replaced",
        claim=f"{theirs} is taken where the reference takes {ours}",
        remedy=f"take {ours} there",
    )


RULE = Rule(
    name="term-replaced",
    line="another tensor is taken: before or after a norm (pre-norm, post-norm), a norm left out",
    kinds=frozenset({OriginKind.GLUE, OriginKind.MODULE}),
    propose=_propose,
)
