"""A function whose gradient is another function's: a straight-through estimator, a custom one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portalign.diagnose.backwards import few_rows, is_gradient
from portalign.diagnose.confirm import Cause, Proposal, needed, relative
from portalign.diagnose.evidence import Numbers, Site
from portalign.diagnose.functions import ELEMENTWISE, slope
from portalign.diagnose.rule import Rule
from portalign.findings import OriginKind

_NEAR = 4  # gradients of what is made of the tensor


def _propose(site: Site) -> Iterator[Proposal]:
    ours, theirs = site.reference.target, site.candidate.target
    inputs = [np.asarray(source.array, np.float64) for source in site.reference.inputs]
    if not inputs or inputs[0].shape != ours.shape or not theirs.any():
        return
    near = [s for s in site.reference.earlier if is_gradient(s) and s.array.shape == ours.shape]
    for source in near[:_NEAR]:
        gradient = np.asarray(source.array, np.float64)
        found = [_function(inputs[0], gradient, each, needed(site)) for each in (ours, theirs)]
        if found[0] is None or found[1] is None or found[0] == found[1]:
            continue
        cause = Cause(
            "backward-function",
            f"the gradient is that of {found[1]} where the reference has that of {found[0]}",
            "look for a custom backward or x + (f(x) - x).detach(), and leave it out",
        )
        made = [slope(name, inputs[0]) * gradient for name in found if name]
        yield Proposal((cause,), modelled=made[1], repaired=made[0])


def _function(x: Numbers, gradient: Numbers, target: Numbers, good: float) -> str | None:
    x, gradient, target = map(few_rows, (x, gradient, target))
    names = (n for n in ELEMENTWISE if relative(slope(n, x) * gradient, target) <= good)
    return next(names, None)


RULE = Rule(
    name="backward-function",
    line="the gradient of a function is that of another one (straight-through, a custom backward)",
    kinds=frozenset({OriginKind.BACKWARD}),
    propose=_propose,
)
