"""What dropout leaves standing is scaled otherwise: another rate, or no scale while training.

Both sides drop the same elements, for the reference's draws are replayed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np

from portalign.diagnose.confirm import Cause, Proposal
from portalign.diagnose.evidence import Numbers, Site, View
from portalign.diagnose.rule import Rule
from portalign.diagnose.words import nice
from portalign.findings import OriginKind

NAME = "dropout-rate"


@final
@dataclass(frozen=True, slots=True)
class Kept:
    """What a dropout makes of its input: elements that stay, times a number."""

    where: Numbers
    scale: float


def of_rates(reference: float, candidate: float) -> Cause:
    """Another share of elements is dropped."""
    return Cause(
        NAME,
        f"dropout has the rate {candidate:.6g}, in the reference {reference:.6g}",
        f"build it with p={reference:.6g}",
        {"reference rate": reference, "candidate rate": candidate},
    )


def _propose(site: Site) -> Iterator[Proposal]:
    views = (site.reference, site.candidate)
    inputs = views[0].inputs
    if len(inputs) != 1 or inputs[0].array.shape != views[0].target.shape:
        return
    x = np.asarray(inputs[0].array, np.float64)
    ours, theirs = (_kept(view, x) for view in views)
    if ours is None or theirs is None or not np.array_equal(ours.where, theirs.where):
        return
    yield Proposal(
        (_cause(ours.scale, theirs.scale),),
        modelled=theirs.scale * ours.where * x,
        repaired=ours.scale * ours.where * x,
    )


def _kept(view: View, x: Numbers) -> Kept | None:
    """None where nothing is dropped, everything, or what a function of the input would drop."""
    made = view.target
    if made.shape != x.shape:
        return None
    where = np.asarray(made != 0.0, np.float64)
    stays, is_dropped = x[made != 0.0], x[(made == 0.0) & (x != 0.0)]
    if not stays.size or not is_dropped.size:
        return None
    if any(_are_apart(f(stays), f(is_dropped)) for f in (np.asarray, np.abs)):
        return None
    return Kept(where, float(made.ravel() @ x.ravel()) / float(stays @ stays))


def _are_apart(some: Numbers, others: Numbers) -> bool:
    """A threshold parts them, as it does what a ReLU lets through."""
    return bool(some.min() >= others.max() or others.min() >= some.max())


def _cause(ours: float, theirs: float) -> Cause:
    rates = tuple(_rate(scale) for scale in (ours, theirs))
    if min(rates) <= 0.0:
        plain, scaled = ("candidate", ours) if rates[1] <= 0.0 else ("reference", theirs)
        return Cause(
            NAME,
            f"while training the {plain}'s dropout doesn't scale what it leaves standing, the "
            f"other's does, times {scaled:.6g} = 1 / (1 - {_rate(scaled):.6g})",
            "let it scale while training (paddle: mode='upscale_in_train')"
            if plain == "candidate"
            else "scale where the reference does: in eval mode (paddle: mode='downscale_in_infer')",
            {"reference scale": ours, "candidate scale": theirs},
        )
    return of_rates(*rates)


def _rate(scale: float) -> float:
    """The rate whose dropout scales so; 0 for none."""
    return next(nice(1.0 - 1.0 / scale)) if scale > 1.0 + 1e-9 else 0.0


RULE = Rule(
    name=NAME,
    line="dropout has another rate, or doesn't scale what it leaves standing while training",
    kinds=frozenset({OriginKind.MODULE}),
    propose=_propose,
)
