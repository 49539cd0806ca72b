"""The scale of a norm: kept as w or as 1 + w, or not used at all."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_WAYS = {"1 + w": 1.0, "w - 1": -1.0, "not used": 0.0}


def _change(weight: Numbers, way: Value, _reading: Reading) -> Numbers:
    return np.ones_like(weight) if way == "not used" else weight + _WAYS[way]


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return _WAYS if "weight" in reading.tensors else ()


def _tell(turned: Turned) -> Words:
    ways = [way or "w" for way in (turned.reference, turned.candidate)]
    said = [f"by {way}" if way != "not used" else "by no weight" for way in ways]
    return Words(
        f"the norm scales {said[1]} where the reference scales {said[0]}",
        f"scale {said[0]}, w being the loaded weight",
    )


RULE = Knob(
    name="norm-weight",
    line="a norm scales by `w` on one side and by `1 + w`, or not at all, on the other",
    families=("norm", "batch-norm"),
    acts={"weight": _change},
    values=_values,
    tell=_tell,
)
