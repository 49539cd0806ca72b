"""A tensor that one side leaves out of a sum: a residual forgotten, a layer skipped."""

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
    if not found[1].both or bool(missing) == bool(added):
        return
    names = " and ".join(named(term, site) for term in missing or added)
    yield proposed(
        site,
        found[0],
        rule="term-missing",
        claim=f"{names} is left out of the sum" if missing else f"{names} is added too much",
        remedy=f"add {names}" if missing else f"don't add {names}",
    )


RULE = Rule(
    name="term-missing",
    line="an earlier tensor is left out of a sum (a residual, a skipped layer), or added to it",
    kinds=frozenset({OriginKind.GLUE, OriginKind.MODULE}),
    propose=_propose,
)
