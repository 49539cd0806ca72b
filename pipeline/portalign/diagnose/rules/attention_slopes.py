"""ALiBi: scores fall with the distance of the key, at a slope of each head's own."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.words import number

_SAID = 4  # slopes that are told


def _add(scores: Numbers, slopes: Value, _reading: Reading) -> Numbers:
    """Scores [batch, heads, queries, keys] plus slope times minus the distance."""
    places = np.arange(scores.shape[-1])
    if len(slopes) != scores.shape[1]:
        raise ValueError(f"{len(slopes)} slopes for {scores.shape[1]} heads")
    distance = np.abs(places[None, :] - places[:, None])
    lowered: Numbers = scores - np.array(slopes)[:, None, None] * distance
    return lowered


def usual_slopes(n_heads: int) -> tuple[float, ...]:
    """Slopes of the paper (Press et al. 2022): powers of 2^(-8/n), for other numbers of heads than
    powers of two every second one of the next greater.

    >>> usual_slopes(4)
    (0.25, 0.0625, 0.015625, 0.00390625)
    """
    whole = 2 ** math.floor(math.log2(n_heads))
    found = [2.0 ** (-8.0 * (at + 1) / whole) for at in range(whole)]
    more = [2.0 ** (-4.0 * (at + 1) / whole) for at in range(0, 2 * whole, 2)]
    return tuple((found + more)[:n_heads])


def _values(_reading: Reading, chosen: Chosen) -> Iterable[Value]:
    n_heads = int(chosen.get("attention-heads") or 1)
    usual = usual_slopes(n_heads)
    return (usual, tuple(-each for each in usual), usual[::-1])


def _tell(turned: Turned) -> Words:
    ours, theirs = turned.reference, turned.candidate
    if not theirs:
        claim = f"ALiBi is missing: the reference lowers its scores by {_said(ours)} times distance"
    elif not ours:
        claim = f"the scores are lowered by {_said(theirs)} times distance (ALiBi), in the "
        claim += "reference not"
    elif tuple(-each for each in theirs) == tuple(ours):
        claim = "ALiBi has the other sign: far keys get more and not less"
    else:
        claim = f"the slopes of ALiBi are {_said(theirs)}, in the reference {_said(ours)}"
    first = {"reference slope": ours, "candidate slope": theirs}
    return Words(
        claim,
        f"lower each head's scores by its slope {_said(ours)} times the distance of query and key"
        if ours
        else "leave the bias out",
        {name: slopes[0] for name, slopes in first.items() if slopes},
    )


def _said(slopes: Value) -> str:
    few = ", ".join(number(each) for each in slopes[:_SAID])
    return f"({few}{', ..' if len(slopes) > _SAID else ''})"


RULE = Knob(
    name="attention-slopes",
    line="ALiBi is missing, has other slopes or the other sign; slopes are read off the scores",
    families=("attention",),
    acts={"bias": _add},
    values=_values,
    tell=_tell,
)
