"""Eps added to the standard deviation instead of the variance."""

from __future__ import annotations

from collections.abc import Iterable

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.words import number


def _add(deviation: Numbers, eps: Value, _reading: Reading) -> Numbers:
    added: Numbers = deviation + eps
    return added


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (1e-5, 1e-6, 1e-8, 1e-3)


def _tell(turned: Turned) -> Words:
    side, eps = (
        ("candidate", turned.candidate) if turned.candidate else ("reference", turned.reference)
    )
    return Words(
        f"the {side}'s norm adds {number(eps)} to the standard deviation, outside the root",
        "add eps to the variance, inside the root" if turned.candidate else "add it outside",
        {"eps outside the root": eps},
    )


RULE = Knob(
    name="norm-eps-place",
    line="eps is added outside the root on one side",
    families=("norm", "batch-norm"),
    acts={"deviation": _add},
    values=_values,
    tell=_tell,
)
