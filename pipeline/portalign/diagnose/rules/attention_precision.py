"""Attention scores that go through bfloat16 or float16 on one side."""

from __future__ import annotations

from collections.abc import Iterable

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.low import LOW, through, told


def _round(scores: Numbers, name: Value, _reading: Reading) -> Numbers:
    return through(scores, name)


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return LOW


def _tell(turned: Turned) -> Words:
    side = "candidate" if turned.candidate else "reference"
    names = turned.candidate or turned.reference
    return Words(
        f"the {side} rounds its attention scores through {told(names)}",
        "keep the scores in full precision up to the softmax"
        if turned.candidate
        else "round them as the reference does",
    )


RULE = Knob(
    name="attention-precision",
    line="the attention scores go through bfloat16 or float16 on one side",
    families=("attention",),
    acts={"scores": _round},
    values=_values,
    tell=_tell,
    is_precision=True,
)
