"""The base of the rotary angles: 10000 against 500000."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words


def _set(_usual: Numbers, base: Value, _reading: Reading) -> Numbers:
    return np.asarray(float(base))


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (500000.0, 1000000.0, 100000.0, 50000.0)


def _tell(turned: Turned) -> Words:
    ours, theirs = turned.reference, turned.candidate
    return Words(
        f"the rotary base is {theirs:g}, in the reference {ours:g}",
        f"set rope_theta={ours:g}",
        {"reference base": ours, "candidate base": theirs},
    )


RULE = Knob(
    name="rotary-base",
    line="the base of the rotary angles; both values are fitted",
    families=("attention",),
    acts={"rotary base": _set},
    values=_values,
    tell=_tell,
    neutral=10000.0,
    guesses=(10000.0, 1000000.0),
    is_log=True,
)
