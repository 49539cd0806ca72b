"""Where a smooth L1 or Huber loss bends: beta or delta."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.words import number

_USUAL = (1.0 / 9.0, 0.1, 0.5, 2.0)


def _bend(_one: Numbers, value: Value, _reading: Reading) -> Numbers:
    return np.asarray(float(value))


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return [each for usual in _USUAL for each in (usual, float(np.float32(usual)))]


def _tell(turned: Turned) -> Words:
    reference, candidate = turned.reference, turned.candidate
    return Words(
        f"the loss bends at {number(candidate)}, the reference's at {number(reference)}",
        f"give the loss beta={reference:g} (delta in Paddle and of a Huber loss)",
        {"reference bend": reference, "candidate bend": candidate},
    )


RULE = Knob(
    name="loss-bend",
    line="a smooth L1 or Huber loss bends elsewhere (beta, delta); it is fitted",
    families=("regression",),
    acts={"bend": _bend},
    values=_values,
    tell=_tell,
    neutral=1.0,
    is_wide=True,
    guesses=(0.3,),
    is_log=True,
)
