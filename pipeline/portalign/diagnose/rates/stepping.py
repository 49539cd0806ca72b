"""How a curve follows another one's steps: not at all, shifted, at another pace, at another size.

Needs no formula: what the reference gave at one step is what the candidate gives at another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from portalign.diagnose.rates.schedule import Rates, agree
from portalign.diagnose.words import number

MOST_SHIFT = 10


@dataclass(frozen=True, slots=True)
class Explanation:
    """One thing that makes the candidate's curve of the reference's.

    Attributes:
        claim: what differs, both values, the reference's first.
        curve: what it makes of the reference's schedule [n]; NaN where that isn't known.
        remedy: what to change on the candidate.
        is_framework: the two frameworks can't be made equal here.
        n_digits: of the values it needs; of several explanations the plainest is told first.
    """

    rule: str
    claim: str
    curve: Rates
    remedy: str
    fitted: dict[str, float] = field(default_factory=dict)
    is_framework: bool = False
    n_digits: int = 0


def never_stepped(reference: Rates, candidate: Rates) -> Iterator[Explanation]:
    """One side's rate stays where it is."""
    still = [not np.ptp(side) for side in (reference, candidate)]
    if still[0] == still[1]:
        return
    role, side = ("reference", reference) if still[0] else ("candidate", candidate)
    yield Explanation(
        "lr-never-stepped",
        f"the {role}'s learning rate stays at {number(float(side[0]))} while the other side's "
        "moves: its scheduler is never stepped, or is none",
        candidate,
        f"call `scheduler.step()` after each update on the {role}",
        {role: float(side[0])},
    )


def shifted(longer: Rates, candidate: Rates) -> Iterator[Explanation]:
    """The candidate runs some steps ahead or behind.

    Args:
        longer: the reference's rates [n or more], as far as they are known.
    """
    for k in sorted(range(-MOST_SHIFT, MOST_SHIFT + 1), key=abs):
        moved = _at(longer, np.arange(candidate.size) + k)
        if k and agree(moved, candidate):
            steps = f"{abs(k)} step{'s' * (abs(k) > 1)} {'ahead of' if k > 0 else 'behind'}"
            why = {
                1: ": it is stepped once before the first update",
                -1: ": its first step is left out",
            }.get(k, "")
            remedy = "step the candidate's scheduler once after each update, first after the first"
            claim = f"the candidate's schedule is {steps} the reference's{why}"
            yield Explanation("lr-shift", claim, moved, remedy, {"steps": float(k)})
            return


def paced(reference: Rates, longer: Rates, candidate: Rates) -> Iterator[Explanation]:
    """One side steps once in so many iterations, or so many times in one.

    Args:
        longer: the reference's rates [n or more], as far as they are known.
    """
    points = np.arange(candidate.size)
    first, other = _first_change(reference), _first_change(candidate)
    k = other // first
    if k > 1 and agree(slow := longer[points // k], candidate):
        yield Explanation(
            "lr-pace",
            f"the candidate steps its scheduler once in {k} iterations, the reference at each "
            "(stepped per epoch instead of per iteration)",
            slow,
            "step the candidate's scheduler after each update",
            {"iterations a step": float(k)},
        )
    k = first // other
    if k > 1 and agree(candidate[points // k], reference):
        fast = _at(reference, points * k)
        yield Explanation(
            "lr-pace",
            f"the candidate steps its scheduler at each iteration, the reference once in {k} "
            "(stepped per iteration instead of per epoch)",
            np.where(np.isnan(fast), candidate, fast),  # the reference shows no more of it
            f"step the candidate's scheduler once in {k} iterations",
            {"iterations a step": float(k)},
        )
    for k in range(2, MOST_SHIFT + 1):
        if first == 1 and agree(fast := _at(longer, points * k), candidate):
            claim = f"the candidate steps its scheduler {k} times in each iteration"
            remedy = "step the candidate's scheduler once after each update"
            yield Explanation("lr-pace", claim, fast, remedy, {"steps an iteration": float(k)})
            return


def scaled(reference: Rates, candidate: Rates) -> Iterator[Explanation]:
    """Every rate of the candidate is the same multiple of the reference's."""
    top = int(np.abs(reference).argmax())
    if not reference[top] or not candidate[top]:
        return
    factor = float(candidate[top] / reference[top])
    if factor != 1.0 and agree(reference * factor, candidate):
        yield Explanation(
            "lr-scale",
            f"every learning rate of the candidate is {number(factor)} times the reference's, "
            f"{reference[top]:.6g} against {candidate[top]:.6g} where it is greatest",
            reference * factor,
            "give the candidate the reference's base learning rate",
            {
                "factor": factor,
                "reference rate": float(reference[top]),
                "candidate rate": float(candidate[top]),
            },
        )


def _at(rates: Rates, points: npt.NDArray[np.int64]) -> Rates:
    """Rates at these points: the first before the start, NaN after the end."""
    found = rates[np.clip(points, 0, rates.size - 1)]
    return np.where(points >= rates.size, np.nan, found)


def _first_change(rates: Rates) -> int:
    """The first point that isn't as the one before; the length where there is none."""
    changes = np.flatnonzero(np.diff(rates))
    return int(changes[0]) + 1 if changes.size else rates.size
