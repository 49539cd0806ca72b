"""Padding laid otherwise around an image: all of it after the end, as "same" with a stride does."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_AFTER, _BEFORE = "after the last place only", "before the first place only"


def _pad(sides: Numbers, way: Value, _reading: Reading) -> Numbers:
    if way in (_AFTER, _BEFORE):  # as much as a pool has on both sides, on one
        total = sides.sum(axis=1)
        parts = [np.zeros_like(total), total]
        return np.stack(parts if way == _AFTER else parts[::-1], axis=1)
    return np.broadcast_to(np.array(way, np.float64), sides.shape)


def _usual(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    if "weight" not in reading.tensors:  # a pool's reading holds its padding
        return ()
    most = max(reading.tensors["weight"].shape[2:])
    middle = (most - 1) // 2
    return [(n, n) for n in sorted(range(1, 2 * most), key=lambda n: abs(n - middle))]


def _values(reading: Reading, chosen: Chosen) -> Iterable[Value]:
    n = max((p for p, _ in _usual(reading, chosen)), default=3)
    uneven = [(b, a) for b in range(min(n, 4) + 1) for a in range(min(n, 4) + 1) if a != b]
    one_sided = (_AFTER, _BEFORE) if "weight" not in reading.tensors else ()
    return (*_usual(reading, chosen), *one_sided, *sorted(uneven, key=sum))


def _tell(turned: Turned) -> Words:
    said = [_said(way, turned.reading) for way in (turned.reference, turned.candidate)]
    return Words(
        f"the candidate pads {said[1]}, the reference {said[0]}",
        f"pad {said[0]}; write it out where a framework's 'same' does otherwise",
    )


def _said(way: Value, reading: Reading) -> str:
    if way is None:
        return "nothing" if "weight" in reading.tensors else "alike on all sides"
    if isinstance(way, str):
        return way
    before, after = way
    if before == after:
        return f"by {before} on all sides"
    return f"by {before} before the first place and by {after} after the last"


RULE = Knob(
    name="conv-padding",
    line="a convolution or pool pads otherwise: unevenly ('same' with a stride), more or less",
    families=("conv", "pool"),
    acts={"padding": _pad},
    values=_values,
    tell=_tell,
    is_wide=True,
    usual=_usual,
)
