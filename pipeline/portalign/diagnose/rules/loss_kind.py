"""Another error of single elements: L1 for L2, Huber for smooth L1, probabilities for scores."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.families.regression import KINDS
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words


def _choose(_none: Numbers, value: Value, _reading: Reading) -> Numbers:
    return np.asarray(float(value))


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return range(1, len(KINDS))


def _tell(turned: Turned) -> Words:
    ours, theirs = (list(KINDS)[value] for value in (turned.reference, turned.candidate))
    return Words(f"the loss is {theirs}, the reference's {ours}", f"take {ours}")


RULE = Knob(
    name="loss-kind",
    line="another error: squared, absolute, smooth L1, Huber, binary cross entropy",
    families=("regression",),
    acts={"kind": _choose},
    values=_values,
    tell=_tell,
    neutral=0,
    is_wide=True,
)
