"""A parameter that gets no gradient although what it is used in does: frozen on one side."""

from __future__ import annotations

from collections.abc import Iterator

from portalign.diagnose.backwards import lacking, of_nothing
from portalign.diagnose.confirm import Cause, Proposal
from portalign.diagnose.evidence import Site
from portalign.diagnose.own_gradients import own_gradients
from portalign.diagnose.rule import Rule
from portalign.findings import OriginKind


def _propose(site: Site) -> Iterator[Proposal]:
    side = lacking(site)
    if not side or site.origin.slot.startswith("out."):
        return
    view = site.reference if side == "reference" else site.candidate
    is_told = view.settings.get("trainable") is False
    cause = Cause(
        "parameter-frozen",
        f"{site.origin.slot} gets no gradient in the {side}"
        + (": it is frozen there (requires_grad=False, paddle: stop_gradient=True)" * is_told),
        "don't freeze it, nor detach it where it is used"
        if side == "candidate"
        else "freeze it as the reference does",
    )
    yield of_nothing(site, cause, own_gradients(site))


RULE = Rule(
    name="parameter-frozen",
    line="a parameter is frozen on one side: it gets no gradient where it is used",
    kinds=frozenset({OriginKind.BACKWARD}),
    propose=_propose,
)
