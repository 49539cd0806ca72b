"""A weight times a number: an embedding scaled inside its module, a scale applied twice."""

from __future__ import annotations

from collections.abc import Iterable

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.words import number


def _scale(weight: Numbers, factor: Value, _reading: Reading) -> Numbers:
    scaled: Numbers = weight * factor
    return scaled


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return ()


def _tell(turned: Turned) -> Words:
    ours, theirs = turned.reference, turned.candidate
    side, factor = ("candidate", theirs) if theirs != 1.0 else ("reference", ours)
    return Words(
        f"the {side} uses the weight times {number(factor)}",
        "leave the factor out, or put it into the weight once"
        if side == "candidate"
        else f"multiply the weight by {factor:.9g}",
        {"factor": factor},
    )


RULE = Knob(
    name="weight-scaled",
    line="a weight is scaled on one side; the factor is fitted",
    families=("linear", "conv", "embedding", "norm"),
    acts={"weight": _scale},
    values=_values,
    tell=_tell,
    neutral=1.0,
    is_odd=True,
    guesses=(1.0,),
)
