"""The proof of a cause: change that one thing, compute again, and see the difference vanish.

Nothing is believed because it fits a pattern; a rule proposes, and only arithmetic accepts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import numpy as np

from portalign.compare.tolerance import RELATIVE
from portalign.diagnose.evidence import Numbers, Site
from portalign.findings import FindingKind

# What the difference must fall by in float64, from the project's issue: six orders of magnitude.
FALL = 1e-6
# Under a relative 1e-9 nothing counts as a difference, so the smallest causes can't fall by six
# orders: float64 itself leaves 1e-16 per operation, some 1e-14 over a module.
FLOOR = 1e-14


@final
@dataclass(frozen=True, slots=True)
class Cause:
    """One named cause of a proposal; fields as in `Finding`."""

    rule: str
    claim: str
    remedy: str
    fitted: Mapping[str, float] = field(default_factory=dict)
    kind: FindingKind = FindingKind.CAUSE


@final
@dataclass(frozen=True, slots=True)
class Proposal:
    """What a rule claims, with the two recomputations that prove it.

    Attributes:
        causes: usually one; two where only both together explain the place.
        modelled: the candidate's tensor recomputed with the fault in it: the model of the candidate
            is right only if this is what it made.
        repaired: the same with the causes changed to what the reference does, and nothing else.
        cost: how far-fetched it is; of the confirmed proposals the cheapest is taken.
        is_computed: the repair was computed; otherwise it could only be copied from the reference,
            because nothing is left of what is missing, and the finding is a hint.
    """

    causes: tuple[Cause, ...]
    modelled: Numbers
    repaired: Numbers
    cost: float = 1.0
    is_computed: bool = True


@final
@dataclass(frozen=True, slots=True)
class Proof:
    """Relative differences to the reference's tensor, before and after the repair."""

    before: float
    after: float


def relative(made: Numbers, target: Numbers) -> float:
    """Relative Frobenius distance to a target; inf where shapes differ or anything isn't finite.

    Infinities that stand in both at the same places match. Against a target of zeros: the norm
    itself.
    """
    if made.shape != target.shape:
        return float("inf")
    with np.errstate(all="ignore"):
        finite = np.where(np.isfinite(target), target, 0.0)
        unit = float(np.abs(finite).max(initial=0.0)) or 1.0  # norms of masks overflow
        difference = np.where(made == target, 0.0, made / unit - target / unit)
        found = float(np.linalg.norm(difference) / (np.linalg.norm(finite / unit) or 1.0))
    return found if np.isfinite(found) else float("inf")


def difference(site: Site) -> float:
    """How far the two sides are apart at a place."""
    return relative(site.candidate.target, site.reference.target)


def needed(site: Site) -> float:
    """What an explanation may leave unexplained, as a relative difference."""
    if site.candidate.precision != "float64" or site.reference.precision != "float64":
        return RELATIVE.get(site.reference.precision, FLOOR)
    return max(min(difference(site), 1.0) * FALL, FLOOR)  # other shapes are infinitely far apart


def confirmed(site: Site, proposal: Proposal) -> Proof | None:
    """The proof of a proposal, None if it explains too little.

    Both must hold: the model with the fault gives what the candidate made, and the repaired one
    gives what the reference made.
    """
    allowed = needed(site)
    before = difference(site)
    is_model = relative(proposal.modelled, site.candidate.target) <= allowed
    after = relative(proposal.repaired, site.reference.target)
    if is_model and after <= allowed and after < before:
        return Proof(before, after)
    return None
