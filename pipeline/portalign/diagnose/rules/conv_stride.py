"""The stride of a convolution: a block that strides on its first one or its second."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words


def _set(_one: Numbers, stride: Value, _reading: Reading) -> Numbers:
    return np.asarray(float(stride))


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (2, 3, 4, 8, 14, 16, 32)


def _tell(turned: Turned) -> Words:
    ours, theirs = turned.reference, turned.candidate
    return Words(
        f"the convolution has stride {theirs}, the reference {ours}",
        f"give it stride={ours}",
        {"reference stride": float(ours), "candidate stride": float(theirs)},
    )


RULE = Knob(
    name="conv-stride",
    line="a convolution has another stride",
    families=("conv",),
    acts={"stride": _set},
    values=_values,
    tell=_tell,
    neutral=1,
    is_wide=True,
)
