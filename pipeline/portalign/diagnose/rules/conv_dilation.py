"""The dilation of a convolution."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words


def _set(_one: Numbers, dilation: Value, _reading: Reading) -> Numbers:
    return np.asarray(float(dilation))


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (2, 3, 4, 8)


def _tell(turned: Turned) -> Words:
    ours, theirs = turned.reference, turned.candidate
    return Words(
        f"the convolution has dilation {theirs}, the reference {ours}",
        f"give it dilation={ours}",
        {"reference dilation": float(ours), "candidate dilation": float(theirs)},
    )


RULE = Knob(
    name="conv-dilation",
    line="a convolution has another dilation",
    families=("conv",),
    acts={"dilation": _set},
    values=_values,
    tell=_tell,
    neutral=1,
)
