"""A bias that is zero or left out on one side."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words


def _drop(bias: Numbers, _is_on: Value, _reading: Reading) -> Numbers:
    return np.zeros_like(bias)


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (True,) if "bias" in reading.tensors else ()


def _tell(turned: Turned) -> Words:
    side = "candidate" if turned.candidate else "reference"
    return Words(
        f"the {side} adds no bias, or one of zeros",
        "add the bias, and load it" if turned.candidate else "leave the bias out",
    )


RULE = Knob(
    name="bias-missing",
    line="a bias is zero or not added on one side",
    families=("linear", "conv", "norm", "batch-norm"),
    acts={"bias": _drop},
    values=_values,
    tell=_tell,
    neutral=False,
    is_odd=True,
)
