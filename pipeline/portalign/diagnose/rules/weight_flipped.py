"""A kernel flipped: convolution in the mathematical sense against correlation."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words


def _flip(weight: Numbers, _is_on: Value, _reading: Reading) -> Numbers:
    return np.flip(weight, axis=tuple(range(2, weight.ndim)))


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (True,)


def _tell(turned: Turned) -> Words:
    side = "candidate" if turned.candidate else "reference"
    return Words(
        f"the {side} uses the kernel flipped in all its places (convolution against correlation)",
        "flip the kernel when it is loaded, or don't",
    )


RULE = Knob(
    name="weight-flipped",
    line="a kernel is flipped on one side: convolution against correlation",
    families=("conv",),
    acts={"weight": _flip},
    values=_values,
    tell=_tell,
    neutral=False,
    is_odd=True,
)
