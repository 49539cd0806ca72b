"""No gradient comes back at all: detached, computed without gradients, or rounded away."""

from __future__ import annotations

from collections.abc import Iterator

from portalign.diagnose.backwards import lacking, of_nothing
from portalign.diagnose.confirm import Cause, Proposal
from portalign.diagnose.evidence import Site
from portalign.diagnose.rule import Rule
from portalign.diagnose.way_back import ways_back
from portalign.findings import OriginKind


def _propose(site: Site) -> Iterator[Proposal]:
    side = lacking(site)
    if not side or not site.origin.slot.startswith("out."):
        return
    remedy = (
        "look for detach(), no_grad(), stop_gradient and casts to integers"
        if side == "candidate"
        else "cut it there too: detach() (paddle: stop_gradient = True)"
    )
    cause = Cause("gradient-cut", f"no gradient comes back through here in the {side}", remedy)
    yield of_nothing(site, cause, ways_back(site))


RULE = Rule(
    name="gradient-cut",
    line="no gradient comes back through a place: it is detached or computed without gradients",
    kinds=frozenset({OriginKind.BACKWARD}),
    propose=_propose,
)
