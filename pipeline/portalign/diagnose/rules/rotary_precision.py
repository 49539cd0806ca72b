"""Rotary angles that are computed in bfloat16 or float16 on one side."""

from __future__ import annotations

from collections.abc import Iterable

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.low import LOW, through, told


def _round(angles: Numbers, name: Value, _reading: Reading) -> Numbers:
    return through(angles, name)


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return LOW


def _tell(turned: Turned) -> Words:
    side = "candidate" if turned.candidate else "reference"
    names = turned.candidate or turned.reference
    return Words(
        f"the {side} computes the rotary angles in {told(names)}",
        "compute rates, places and angles in float32, and cast cosine and sine if need be"
        if turned.candidate
        else "compute the angles as the reference does",
    )


RULE = Knob(
    name="rotary-precision",
    line="rotary rates and angles are computed in bfloat16 or float16 on one side",
    families=("attention",),
    acts={"rotary rates": _round, "rotary angles": _round},
    values=_values,
    tell=_tell,
    is_precision=True,
)
