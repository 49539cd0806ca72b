"""A path that gives no gradient back while others do: a residual detached, a tie made by a copy."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from portalign.diagnose.backwards import GRADIENT, is_gradient
from portalign.diagnose.confirm import Cause, Proposal, needed, relative
from portalign.diagnose.evidence import Numbers, Site
from portalign.diagnose.rule import Rule
from portalign.findings import OriginKind

_NEAR = 16  # gradients that may be the missing one, nearest first
_MOST = 2  # of them together


def _propose(site: Site) -> Iterator[Proposal]:
    ours, theirs = site.reference.target, site.candidate.target
    if ours.shape != theirs.shape or not theirs.any() or not ours.any():
        return
    parts = _parts(site)
    for n in range(1, _MOST + 1):
        for names in combinations(parts, n):
            part = np.sum([parts[name] for name in names], axis=0)
            for sign in (1.0, -1.0):
                if relative(theirs + sign * part, ours) <= needed(site):
                    yield _proposal(site, names, sign * part, is_added=sign < 0)
                    return


def _proposal(site: Site, names: tuple[str, ...], part: Numbers, *, is_added: bool) -> Proposal:
    told = " and ".join(name.removeprefix(GRADIENT) for name in names)
    cause = Cause(
        "gradient-missing",
        f"the gradient {'has' if is_added else 'lacks'} a part that equals the one of {told}: a "
        f"path that goes there gives {'one' if is_added else 'none'} back",
        "detach that path as the reference does"
        if is_added
        else "let it through: look for detach(), no_grad(), stop_gradient, or a copied weight",
    )
    return Proposal(
        (cause,),
        modelled=site.reference.target - part,
        repaired=site.candidate.target + part,
    )


def _parts(site: Site) -> dict[str, Numbers]:
    """Gradients of the same shape; of a matrix, those that a product with it would give it."""
    shape = site.reference.target.shape
    gradients = [s for s in site.reference.earlier if is_gradient(s)]
    if site.origin.slot.startswith("out."):
        fitting = [s for s in gradients if s.array.shape == shape][:_NEAR]
        return {s.name: np.asarray(s.array, np.float64) for s in fitting}
    if len(shape) != 2:
        return {}
    found: dict[str, Numbers] = {}
    forward = [s for s in site.reference.earlier if not is_gradient(s)]
    for gradient in (s for s in gradients if s.array.shape[-1:] == shape[:1]):
        for x in forward:
            if x.array.shape == (*gradient.array.shape[:-1], shape[1]) and len(found) < _NEAR:
                rows = np.asarray(gradient.array, np.float64).reshape(-1, shape[0])
                found[f"{gradient.name} with {x.name}"] = rows.T @ np.asarray(
                    x.array, np.float64
                ).reshape(-1, shape[1])
    return found


RULE = Rule(
    name="gradient-missing",
    line="one of several paths gives no gradient back (a detached residual, a copied tied weight)",
    kinds=frozenset({OriginKind.BACKWARD}),
    propose=_propose,
)
