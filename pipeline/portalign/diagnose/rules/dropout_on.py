"""Dropout on one side alone, left on or left out: elements are zero at random, others scaled up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from portalign.diagnose.confirm import Cause, Proposal, relative
from portalign.diagnose.evidence import Numbers, Site, Source, everything
from portalign.diagnose.rule import Rule
from portalign.diagnose.words import nice, number
from portalign.findings import OriginKind

_NEAR = 12  # earlier tensors that may be what is dropped, or what it is added to
_FEWEST = 64  # elements: of fewer a share can't be told
_SIGMAS = 5.0  # that the share of zeros may be off, for a random one
_SAME = 1e-9  # relative, of tensors that are one
_ALIKE = 1e-6  # of the ratios, which lose digits where what is dropped is small beside the rest


def _propose(site: Site) -> Iterator[Proposal]:
    ours, theirs = site.reference.target, site.candidate.target
    if ours.shape != theirs.shape or ours.size < _FEWEST:
        return
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return
    for is_candidate, (plain, dropped) in ((True, (ours, theirs)), (False, (theirs, ours))):
        found = next(_found(site, plain, dropped), None)
        if found is None:
            continue
        rest, part, factor = found
        keep = np.abs(dropped - rest) > _SAME * np.abs(part)
        on, off = rest + np.where(keep, part * factor, 0.0), rest + part
        sides = (on, off) if is_candidate else (off, on)
        yield Proposal((_cause(factor, is_candidate=is_candidate),), *sides)
        return


def _found(
    site: Site, plain: Numbers, dropped: Numbers
) -> Iterator[tuple[Numbers, Numbers, float]]:
    """What is left as it is, what is dropped out, and the factor of what is kept of it."""
    shape = plain.shape
    sources = [
        np.asarray(source.array, np.float64)
        for source in _given(site)
        if source.array.shape == shape and source.array.dtype.kind not in "iub"
    ]
    for part in sources:
        rest = plain - part
        if relative(plain, part) <= _SAME:
            rest = np.zeros_like(plain)
        elif not any(relative(rest, other) <= _SAME for other in sources):
            continue
        factor = factor_of(part, dropped - rest)
        if factor is not None:
            yield rest, part, factor


def _given(site: Site) -> Sequence[Source]:
    return (*site.reference.inputs, *everything(site))[:_NEAR]


def factor_of(part: Numbers, dropped: Numbers) -> float | None:
    """1 / (1 - p), where elements of a share p are zero and all others times that; else None.

    Args:
        part: what was dropped out, and
        dropped: what is left of it, of the same shape.
    """
    size = float(np.abs(part).max(initial=0.0))
    is_there = np.abs(part) > _ALIKE * size
    with np.errstate(all="ignore"):
        ratios = (dropped / part)[is_there]
    is_kept = ratios > 0.5
    n, n_kept = len(ratios), int(is_kept.sum())
    if n < _FEWEST or not (0 < n_kept < n) or np.abs(ratios[~is_kept]).max() > _SAME:
        return None
    factor = float(np.median(ratios[is_kept]))
    if not (factor > 1.0 and np.abs(ratios[is_kept] - factor).max() <= _ALIKE * factor):
        return None
    share, p = 1.0 - n_kept / n, 1.0 - 1.0 / factor
    return factor if abs(share - p) <= _SIGMAS * np.sqrt(p * (1.0 - p) / n) else None


def _cause(factor: float, *, is_candidate: bool) -> Cause:
    p = next(nice(1.0 - 1.0 / factor))
    side = "candidate" if is_candidate else "reference"
    remedy = (
        "call model.eval(), and pass training=self.training where dropout is called as a function"
        if is_candidate
        else "give the candidate this dropout; if this is no training, call model.eval() on the "
        "reference"
    )
    return Cause(
        "dropout-on",
        f"dropout acts in the {side} alone: elements are zero at random, the others times "
        f"{number(factor)} (p = {p:g})",
        remedy,
        {"p": p},
    )


RULE = Rule(
    name="dropout-on",
    line="dropout on one side alone (train for eval mode, or left out in training)",
    kinds=frozenset({OriginKind.GLUE, OriginKind.MODULE}),
    propose=_propose,
)
