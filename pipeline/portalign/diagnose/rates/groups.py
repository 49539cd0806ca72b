"""Learning rates by parameter: groups whose curves differ, and what the frameworks make of a group.

The state-grafted iterations record the rate of every parameter. Parameters of equal curves on both
sides are one group, explained as one curve is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from portalign.compare.chain import Link
from portalign.diagnose.rates.schedule import Rates, Schedule, agree
from portalign.diagnose.rates.stepping import Explanation
from portalign.diagnose.words import number
from portalign.findings import Part


@final
@dataclass(frozen=True, slots=True)
class Group:
    """Parameters of equal curves, over the iterations from 0 on that were gone through.

    Attributes:
        label: of the first link that differs; "" where none does.
        owners: full names of the parameters.
    """

    label: str
    owners: tuple[str, ...]
    reference: Rates
    candidate: Rates

    def until(self, n_points: int) -> Group:
        """The same over the first iterations only."""
        return replace(
            self, reference=self.reference[:n_points], candidate=self.candidate[:n_points]
        )

    def schedule(self, ours: Schedule | None) -> Schedule | None:
        """What the reference's rates of the group follow: the optimizer's schedule, which has
        another base LR for a group.
        """
        if ours is None or not self.reference.size:
            return None
        curve = ours.curve(self.reference.size)
        top = int(np.nan_to_num(np.abs(curve)).argmax())
        factor = self.reference[top] / curve[top] if curve[top] else np.nan
        own = replace(ours, base_lr=float(factor * ours.base_lr))
        return own if agree(own.curve(self.reference.size), self.reference) else None

    def follows(self, other: Group) -> bool:
        """Both sides' rates are one multiple of the other group's: what explains that one explains
        this one too.
        """
        top = int(np.abs(other.reference).argmax())
        factor = self.reference[top] / other.reference[top] if other.reference[top] else np.nan
        pairs = ((self.reference, other.reference), (self.candidate, other.candidate))
        return all(agree(factor * theirs, ours) for ours, theirs in pairs)


def groups(links: Sequence[Link]) -> tuple[Group, ...]:
    """The groups, in the order in which their parameters come."""
    by_owner: dict[str, list[Link]] = defaultdict(list)
    for link in links:
        if link.part is Part.LR and link.pair is not None:
            by_owner[link.owner].append(link)
    found: dict[tuple[bytes, bytes], Group] = {}
    for owner, some in by_owner.items():
        first = _group(owner, some)
        if not first.reference.size:
            continue
        key = first.reference.tobytes(), first.candidate.tobytes()
        known = found.get(key)
        found[key] = replace(known, owners=(*known.owners, owner)) if known else first
    return tuple(found.values())


def _group(owner: str, links: Sequence[Link]) -> Group:
    run = [link for at, link in enumerate(links) if link.iteration == at]  # ordered by iteration
    pairs = [link.pair for link in run if link.pair is not None]
    curves = (
        np.array([float(pair.reference.array) for pair in pairs]),
        np.array([float(pair.candidate_values()) for pair in pairs]),
    )
    label = next((link.label for link in run if link.is_wrong), "")
    return Group(label, (owner,), *curves)


def ended(group: Group, first: Group, ours: Schedule | None) -> Iterator[Explanation]:
    """The end rate of a schedule (`eta_min`, `end_lr`) is every group's in torch, and times the
    group's factor in paddle.

    Args:
        first: the group whose rates are the optimizer's own, equal on both sides.
        ours: the reference's schedule of it.
    """
    if ours is None:
        return
    sides = ((group.reference, group.candidate), (group.candidate, group.reference))
    for own_end, shared in sides:
        top = int(np.abs(first.reference).argmax())
        factor = shared[top] / first.reference[top] if first.reference[top] else np.nan
        in_torch = replace(ours, base_lr=factor * ours.base_lr).curve(shared.size)
        if agree(factor * first.reference, shared) and agree(in_torch, own_end):
            yield Explanation(
                "lr-group-end",
                f"a schedule that ends above 0 ends there for every group in torch, and at the "
                f"group's share of it in paddle, here {number(factor)}",
                group.candidate,
                "",
                {"factor": float(factor)},
                is_framework=True,
            )
            return
