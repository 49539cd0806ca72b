"""A recurrent layer through whose steps no gradient goes back: truncated after each one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portalign.diagnose.confirm import Cause, Proposal
from portalign.diagnose.evidence import Site
from portalign.diagnose.own_gradients import RECURRENT
from portalign.diagnose.rule import Rule
from portalign.diagnose.through_time import gradients, run_of
from portalign.findings import OriginKind

_CUTS = {
    "the hidden state": {"is_cut": True},
    "the hidden state and the cell": {"is_cut": True, "is_cell_cut": True},
}


def _propose(site: Site) -> Iterator[Proposal]:
    found = RECURRENT.fullmatch(site.origin.slot)
    run = run_of(site, found.group(2) or "") if found else None
    if found is None or run is None:
        return
    whole = gradients(run)[found.group(1)]
    for what, cut in _CUTS.items():
        part = gradients(run, **cut)[found.group(1)]
        if np.array_equal(part, whole):
            continue
        for side, other, made in (
            ("candidate", "reference", (part, whole)),
            ("reference", "candidate", (whole, part)),
        ):
            cause = Cause(
                "gradient-truncated",
                f"in the {side} no gradient goes from a step to {what} of the step before, in the "
                f"{other} it does",
                f"detach {what} between the steps exactly where the reference does",
            )
            yield Proposal((cause,), modelled=made[0], repaired=made[1])


RULE = Rule(
    name="gradient-truncated",
    line="no gradient goes back from step to step of a recurrent layer (truncated, detached)",
    kinds=frozenset({OriginKind.BACKWARD}),
    propose=_propose,
)
