"""A weight used with two axes swapped: a square one loads without a complaint."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_AXES = {"its last two axes": (-1, -2), "its first two axes": (0, 1)}


def _swap(weight: Numbers, axes: Value, _reading: Reading) -> Numbers:
    return np.swapaxes(weight, *_AXES[axes])


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    shape = reading.tensors["weight"].shape
    if len(shape) > 1:
        return [name for name, (a, b) in _AXES.items() if shape[a] == shape[b]][: len(shape) - 1]
    return ()


def _tell(turned: Turned) -> Words:
    shape = list(turned.reading.tensors["weight"].shape)
    what = "" if len(shape) == 2 else f" in {turned.candidate or turned.reference}"
    side = "candidate" if turned.candidate else "reference"
    return Words(
        f"the {side} uses the weight {shape} transposed{what}",
        "transpose the weight once when it is loaded, or not at all in forward",
    )


RULE = Knob(
    name="weight-transposed",
    line="a weight is used transposed, a square one too; of a kernel two of its axes",
    families=("linear", "conv"),
    acts={"weight": _swap},
    values=_values,
    tell=_tell,
    is_odd=True,
)
