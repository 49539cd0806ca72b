"""Rotation in the other direction."""

from __future__ import annotations

from collections.abc import Iterable

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words


def _turn(sine: Numbers, _is_on: Value, _reading: Reading) -> Numbers:
    return -sine


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (True,)


def _tell(turned: Turned) -> Words:
    side = "candidate" if turned.candidate else "reference"
    return Words(
        f"the {side} rotates query and key in the other direction",
        "turn the sign of the sine: (-b, a) against (b, -a)",
    )


RULE = Knob(
    name="rotary-sign",
    line="rotary positions turn in the other direction",
    families=("attention",),
    acts={"rotary sine": _turn},
    values=_values,
    tell=_tell,
    neutral=False,
    is_odd=True,
)
