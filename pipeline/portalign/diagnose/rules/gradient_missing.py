"""A path that gives no gradient back while others do: a residual detached, a tie made by a copy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import final

import numpy as np

from portalign.diagnose.backwards import GRADIENT, few_rows, is_gradient
from portalign.diagnose.confirm import Cause, Proposal, needed, relative
from portalign.diagnose.evidence import Numbers, Site
from portalign.diagnose.rule import Rule
from portalign.findings import OriginKind
from portalign.records import Array

_NEAR = 16  # gradients that may be the missing one, nearest first
_MOST = 2  # of them together


def _propose(site: Site) -> Iterator[Proposal]:
    ours, theirs = site.reference.target, site.candidate.target
    if ours.shape != theirs.shape or not theirs.any() or not ours.any():
        return
    parts = _parts(site)
    few = {name: each.few() for name, each in parts.items()}
    ours, theirs = few_rows(ours), few_rows(theirs)
    for n in range(1, _MOST + 1):
        for names in combinations(parts, n):
            part = np.sum([few[name] for name in names], axis=0)
            for sign in (1.0, -1.0):
                if relative(theirs + sign * part, ours) <= needed(site):
                    whole = np.sum([sign * parts[name].whole() for name in names], axis=0)
                    yield _proposal(site, names, whole, is_added=sign < 0)
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


@final
@dataclass(frozen=True, slots=True)
class _Part:
    """A gradient that may be missing: as it is, or as a product with `x` gives it to a matrix."""

    gradient: Array
    x: Array | None = None

    def whole(self) -> Numbers:
        if self.x is None:
            return _wide(self.gradient)
        return np.asarray(_rows(self.gradient).T @ _rows(self.x))

    def few(self) -> Numbers:
        if self.x is None:
            return few_rows(_wide(self.gradient))
        return np.asarray(few_rows(_rows(self.gradient).T) @ _rows(self.x))


def _parts(site: Site) -> dict[str, _Part]:
    """Gradients of the same shape; of a matrix, those that a product with it would give it."""
    shape = site.reference.target.shape
    gradients = [s for s in site.reference.earlier if is_gradient(s)]
    if site.origin.slot.startswith("out."):
        fitting = [s for s in gradients if s.array.shape == shape][:_NEAR]
        return {s.name: _Part(s.array) for s in fitting}
    if len(shape) != 2:
        return {}
    pairs = [
        (gradient, x)
        for gradient in gradients
        if gradient.array.shape[-1:] == shape[:1]
        for x in site.reference.earlier
        if not is_gradient(x) and x.array.shape == (*gradient.array.shape[:-1], shape[1])
    ]
    return {f"{g.name} with {x.name}": _Part(g.array, x.array) for g, x in pairs[:_NEAR]}


def _rows(array: Array) -> Numbers:
    return _wide(array).reshape(-1, array.shape[-1])


def _wide(array: Array) -> Numbers:
    return np.asarray(array, np.float64)


RULE = Rule(
    name="gradient-missing",
    line="one of several paths gives no gradient back (a detached residual, a copied tied weight)",
    kinds=frozenset({OriginKind.BACKWARD}),
    propose=_propose,
)
