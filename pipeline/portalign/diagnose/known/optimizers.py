"""Updates that differ because the two frameworks' optimizers of one name do."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from portalign.compare.chain import Link
from portalign.diagnose.known.explained import Explained, clause, fits, misfit
from portalign.diagnose.known.given import Given
from portalign.diagnose.known.updates import (
    FORMULAS,
    ONE_SIDED,
    Arguments,
    End,
    Numbers,
    Start,
    single,
)
from portalign.equivalents.optimizers import ROWS
from portalign.findings import Finding, FindingKind, Part
from portalign.records import Array, SideInfo

_PARTS = (Part.OPTIMIZER_STATE, Part.UPDATE)
_REMEDIES = {
    "rmsprop": "no argument makes them equal; nearest comes Paddle's with the square of torch's "
    "eps, or train with an optimizer of your own on one side",
    "adamax": "no argument makes them equal; train with an optimizer of your own on one side where "
    "that is too much",
    "asgd": "take SGD on both sides where you don't need averaged weights, or an optimizer of your "
    "own on one side",
}


@final
@dataclass(frozen=True, slots=True)
class _Model:
    """Which formula a side follows, with which arguments; several where rounding is open."""

    framework: str
    name: str
    arguments: tuple[Arguments, ...]

    def ends(self, start: Start) -> Iterator[End]:
        formula = FORMULAS[self.framework, self.name]
        for arguments in self.arguments:
            with np.errstate(all="ignore"):  # what the frameworks give then, NaN too
                yield formula(start, arguments)


def explain_updates(
    links: Sequence[Link], given: Given, sides: tuple[SideInfo, SideInfo]
) -> Explained | None:
    """Explain wrong updates and optimizer states by the formulas of the frameworks' own optimizers.

    Args:
        links: of the state-grafted iterations.
        given: what they started from.
        sides: reference, candidate; with their optimizers as they were built.

    Returns:
        None where the optimizers aren't known to differ, or nothing is explained.
    """
    models = _models(sides)
    if models is None:
        return None
    decays = (sides[0].optimizer_arguments["weight_decay"], 0.0)  # spared parameters have none
    by_parameter: dict[tuple[str, int], list[Link]] = defaultdict(list)
    for link in links:
        if link.part in _PARTS:
            by_parameter[link.owner, link.iteration].append(link)
    found: dict[str, _Fall] = {}
    for (owner, iteration), some in by_parameter.items():
        start = given.start(owner, iteration)
        if start is not None and any(link.is_wrong for link in some):
            found |= _explained(some, start, models, decays)
    if not found:
        return None
    n_wrong = sum(any(link.is_wrong for link in some) for some in by_parameter.values())
    finding = _finding(models, tuple(found.values()), n_wrong=n_wrong)
    return Explained((finding,), frozenset(found))


@final
@dataclass(frozen=True, slots=True)
class _Fall:
    """Relative difference of a link between both sides, and between the candidate's and what its
    formula gives.
    """

    link: Link
    before: float
    after: float


def _models(sides: tuple[SideInfo, SideInfo]) -> tuple[_Model, _Model] | None:
    """Both sides' formulas with the reference's arguments; None where no two are known to differ.

    Only the candidate's own eps is taken if it is the square of the reference's, or its root: that
    is how a porter brings the two nearer.
    """
    name, (ours, theirs) = sides[0].optimizer, [side.optimizer_arguments for side in sides]
    frameworks = [side.framework for side in sides]
    is_known = all((framework, name) in FORMULAS for framework in frameworks)
    if not is_known or sides[1].optimizer != name or frameworks[0] == frameworks[1]:
        return None
    shared = (ours.keys() & theirs.keys()) - {"eps"}
    is_same = all(ours[argument] == theirs[argument] for argument in shared)
    n_averaged = {**ours, **theirs}.get("batch_num", 1.0)
    if not is_same or n_averaged != 1.0 or not _is_near(ours.get("eps"), theirs.get("eps")):
        return None
    first, second = (
        _Model(framework, name, (each, single(each)))
        for framework, each in zip(frameworks, (ours, theirs), strict=True)
    )
    return first, second


def _is_near(one: float | None, other: float | None) -> bool:
    """Equal, or one the square of the other."""
    if one is None or other is None:
        return one is other
    small, large = sorted((one, other))
    return small == large or math.isclose(small, large**2, rel_tol=1e-6)


def _explained(
    links: Sequence[Link], start: Start, models: tuple[_Model, _Model], decays: Iterable[float]
) -> dict[str, _Fall]:
    """What is wrong with one parameter in one iteration, if both sides follow their formulas."""
    wrong = [link for link in links if link.is_wrong]
    for decay in decays:
        decayed = replace(start, decay=decay)
        ours = [e for e in models[0].ends(decayed) if _follows(links, e, start, is_candidate=False)]
        theirs = [
            e for e in models[1].ends(decayed) if _follows(links, e, start, is_candidate=True)
        ]
        if ours and theirs:
            return {link.label: _fall(link, theirs[0], start) for link in wrong}
    return {}


def _follows(links: Sequence[Link], end: End, start: Start, *, is_candidate: bool) -> bool:
    """Whether everything that a side was left with is what its formula gives.

    What the formula says nothing of must agree between the sides, or be kept by one side's kind of
    optimizer only.
    """
    for link in links:
        made = _made(link, end, start)
        if made is None:
            if link.is_wrong and link.slot not in ONE_SIDED:
                return False
            continue
        recorded, rounding = _recorded(link, start, is_candidate=is_candidate)
        if recorded is None or not fits(made, recorded, rounding=rounding):
            return False
    return True


def _made(link: Link, end: End, start: Start) -> Numbers | None:
    if link.part is Part.UPDATE:
        return end.weight - start.weight
    return end.slots.get(link.slot)


def _recorded(link: Link, start: Start, *, is_candidate: bool) -> tuple[Array | None, float]:
    """What a side was left with, and the norm of what rounded it."""
    if link.pair is None:
        return None, 0.0
    array = link.pair.candidate_values() if is_candidate else link.pair.reference.array
    if link.part is not Part.UPDATE:
        return array, 0.0
    update = array - start.weight.astype(array.dtype)
    return update, float(np.linalg.norm(start.weight))


def _fall(link: Link, end: End, start: Start) -> _Fall:
    made = _made(link, end, start)
    recorded, _ = _recorded(link, start, is_candidate=True)
    if made is None or recorded is None or link.comparison is None:
        return _Fall(link, 0.0, 0.0)
    return _Fall(link, link.comparison.native.rel_frobenius, misfit(made, recorded))


def _finding(models: tuple[_Model, _Model], found: Sequence[_Fall], *, n_wrong: int) -> Finding:
    name = models[0].name
    given = models[0].arguments[0]
    rows = [row for row in ROWS if row.entry["name"] == name and row.why]
    row = max(rows, key=lambda row: sum(given.get(k) == v for k, v in row.entry.items()))
    worst = max(found, key=lambda one: one.before if math.isfinite(one.before) else 0.0)
    n_found = len({(one.link.owner, one.link.iteration) for one in found})
    return Finding(
        name,
        FindingKind.KNOWN_DIFFERENCE,
        tuple(one.link.label for one in found),
        f"{row.title.partition(',')[0]} is not the same in torch and paddle: {clause(row.why)}; "
        f"updates differ by up to {worst.before:.2g}",
        f"{worst.link.label} differs by {worst.before:.1e}; recomputed with each framework's own "
        "formula from the reference's weights, state and gradients, both sides of "
        f"{n_found} of {n_wrong} updates that differ come out as recorded, the candidate's to "
        f"{max(one.after for one in found):.1e}",
        _REMEDIES[name],
        before=worst.before,
        after=max(one.after for one in found),
        is_confirmed=True,
    )
