"""A tensor that is scaled on one side: an embedding by sqrt(width), a branch, dropout in eval."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from portalign.diagnose.confirm import Proposal
from portalign.diagnose.evidence import Site
from portalign.diagnose.rule import Rule
from portalign.diagnose.sums import gap, named, proposed
from portalign.diagnose.words import near, number
from portalign.findings import OriginKind


def _propose(site: Site) -> Iterator[Proposal]:
    found = gap(site)
    if found is None or not found[1].has_one_function:
        return
    missing, added = found[1].missing, found[1].added
    plain = [{(term.source, term.function) for term in terms} for terms in (missing, added)]
    if len(missing) != 1 or plain[0] != plain[1]:
        return
    ours, theirs = missing[0], added[0]
    what = named(replace(ours, coefficient=1.0), site)
    yield proposed(
        site,
        found[0],
        rule="term-scaled",
        claim=f"{what} enters times {number(theirs.coefficient)}, in the reference times "
        f"{number(ours.coefficient)}",
        remedy=f"scale {near(ours.source, site.origin.path)} by {ours.coefficient:.9g}",
        fitted={"reference factor": ours.coefficient, "candidate factor": theirs.coefficient},
    )


RULE = Rule(
    name="term-scaled",
    line="an earlier tensor enters with another factor: scaled embeddings, dropout in eval",
    kinds=frozenset({OriginKind.GLUE, OriginKind.MODULE}),
    propose=_propose,
)
