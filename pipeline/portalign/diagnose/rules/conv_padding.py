"""Padding laid otherwise around an image: all of it after the end, as "same" with a stride does."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_AFTER, _BEFORE = "after the last place only", "before the first place only"


def _shift(sides: Numbers, way: Value, _reading: Reading) -> Numbers:
    total = sides.sum(axis=1)
    zeros = np.zeros_like(total)
    if way in (_AFTER, _BEFORE):
        lengths = total if way == _AFTER else zeros
        return np.stack([total - lengths, lengths], axis=1)
    before, after = way
    return np.stack([zeros + before, zeros + after], axis=1)


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    n = int(reading.tensors["padding"].max()) + 1
    uneven = [(b, a) for b in range(n + 1) for a in range(n + 1) if a != b]
    return (_AFTER, _BEFORE, *sorted(uneven, key=sum))


def _tell(turned: Turned) -> Words:
    said = [_said(way) for way in (turned.reference, turned.candidate)]
    return Words(
        f"the candidate pads {said[1]}, the reference {said[0]}",
        f"pad {said[0]}; write it out where a framework's 'same' does otherwise",
    )


def _said(way: Value) -> str:
    if way is None:
        return "alike on all sides"
    if isinstance(way, str):
        return way
    return f"by {way[0]} before the first place and by {way[1]} after the last"


RULE = Knob(
    name="conv-padding",
    line="a convolution or pool pads unevenly on one side ('same' with a stride)",
    families=("conv", "pool"),
    acts={"padding": _shift},
    values=_values,
    tell=_tell,
)
