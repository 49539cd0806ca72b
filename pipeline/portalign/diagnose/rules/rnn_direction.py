"""The two directions exchanged, or the backward one run forward."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_SWAPPED, _FORWARD = "the weights of the two directions exchanged", "both directions run forward"


def _swap(order: Numbers, way: Value, _reading: Reading) -> Numbers:
    return order[::-1] if way == _SWAPPED else order


def _forward(is_back: Numbers, way: Value, _reading: Reading) -> Numbers:
    return np.asarray(0.0) if way == _FORWARD else is_back


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (_SWAPPED, _FORWARD) if "weight_hh_l0_reverse" in reading.tensors else ()


def _tell(turned: Turned) -> Words:
    side, way = (
        ("candidate", turned.candidate) if turned.candidate else ("reference", turned.reference)
    )
    return Words(
        f"the {side} has {way}",
        "exchange the weights with the suffix _reverse"
        if way == _SWAPPED
        else "reverse the sequence before the second direction, and what it returns after it",
    )


RULE = Knob(
    name="rnn-direction",
    line="the directions of a recurrent layer are exchanged, or the second runs forward too",
    families=("recurrent",),
    acts={"directions": _swap, "backward": _forward},
    values=_values,
    tell=_tell,
    is_odd=True,
)
