"""A mask made otherwise: hidden and seen exchanged, or too weak a value for what is hidden."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portalign.diagnose.confirm import Cause, Proposal
from portalign.diagnose.evidence import Numbers, Site
from portalign.diagnose.rule import Rule
from portalign.findings import OriginKind

_REASONS = 3  # causal, padding, window: what adds its value beside the others
# The softmax of float64 gives exp(-745.2) as 0; scores beyond +-100 don't occur. A mask under this
# hides alike whatever its value is, except in a row that it hides as a whole.
UNDERFLOW = -1000.0


def _propose(site: Site) -> Iterator[Proposal]:
    ours, theirs = site.reference.target, site.candidate.target
    if ours.shape != theirs.shape or not ours.size:
        return
    masks = [mask for mask in map(_hiding, (ours, theirs)) if mask is not None]
    if len(masks) != 2:
        return
    (value, times), (other, other_times) = masks
    if ((times > 0) == (other_times > 0)).all():
        cause = _value(value, other, times, other_times)
        yield Proposal((cause,), _added(other_times, other), _added(times, value))
    elif ((times > 0) != (other_times > 0)).all():
        cause = Cause(
            "mask-changed",
            "the mask is inverted: it hides what the reference shows, and shows what it hides",
            "exchange hidden and seen where the mask is made: (1 - mask) * value",
        )
        shown = np.where(times > 0, 0.0, other)
        yield Proposal((cause,), shown, np.where(other_times > 0, 0.0, value))


def _hiding(mask: Numbers) -> tuple[float, Numbers] | None:
    """What a mask adds for each reason to hide a place, and how many reasons hide each.

    None where nothing is shown or nothing hidden, or where it is no multiple of one value.
    """
    levels = np.unique(mask)[::-1]
    if not 2 <= len(levels) <= _REASONS + 1 or levels[0] != 0.0:
        return None
    value = float(levels[1])
    with np.errstate(invalid="ignore"):
        times = np.where(mask == value, 1.0, np.rint(mask / value))
    return (value, times) if np.array_equal(_added(times, value), mask) else None


def _added(times: Numbers, value: float) -> Numbers:
    with np.errstate(invalid="ignore"):  # no times infinity
        return np.where(times > 0, times * value, 0.0)


def _value(ours: float, theirs: float, times: Numbers, other_times: Numbers) -> Cause:
    return Cause(
        "mask-changed",
        f"the mask adds {_said(theirs, other_times)} to what it hides, the reference "
        f"{_said(ours, times)}: {_effect(ours, theirs, times)}",
        f"add {ours:.4g}, or -inf where no row is hidden as a whole",
        {"reference value": ours, "candidate value": theirs},
    )


def _said(value: float, times: Numbers) -> str:
    most = int(times.max())
    return f"{value:.4g} for each of up to {most} reasons" if most > 1 else f"{value:.4g}"


def _effect(ours: float, theirs: float, times: Numbers) -> str:
    if max(ours, theirs) <= UNDERFLOW and times.ndim:
        hidden = (times > 0).all(axis=-1)
        return f"it shows in the {hidden.sum()} of {hidden.size} rows whose keys are all masked"
    if theirs > ours:
        return "too little to hide it from the softmax"
    return "the reference lets a little through"


RULE = Rule(
    name="mask-changed",
    line="a mask tensor is inverted, or what it adds to hidden places is another value",
    kinds=frozenset({OriginKind.GLUE}),
    propose=_propose,
)
