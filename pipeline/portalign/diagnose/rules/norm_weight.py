"""The scale of a norm: kept as w or as 1 + w, not used at all, or of other values."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.families.norm import CHANNELS, along
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_WAYS = {"1 + w": 1.0, "w - 1": -1.0, "not used": 0.0}
_OTHER = "another weight than the one it was given"
_ROWS = 4  # rows that must all differ by the same factors


def _change(weight: Numbers, way: Value, _reading: Reading) -> Numbers:
    if way == _OTHER:
        return weight
    return np.ones_like(weight) if way == "not used" else weight + _WAYS[way]


def _rescale(made: Numbers, way: Value, reading: Reading) -> Numbers:
    """Each channel times the factor that brings it nearest to what was made."""
    if way != _OTHER:
        return made
    bias = along(reading, reading.tensors.get("bias", np.zeros(len(reading.tensors["weight"]))))
    plain, given = made - bias, reading.view.target - bias
    axis = 1 if CHANNELS in reading.names else made.ndim - 1
    others = tuple(each for each in range(made.ndim) if each != axis)
    factors = (plain * given).sum(others, keepdims=True) / (plain**2).sum(others, keepdims=True)
    if np.ptp(factors) <= 1e-6 * np.abs(factors).max():  # a scale, and no other weight
        raise ValueError("one factor for all channels")
    return np.asarray(plain * factors + bias)


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    if "weight" not in reading.tensors:
        return ()
    is_told = "mean" not in reading.tensors and len(reading.view.target.reshape(-1)) >= (
        _ROWS * len(reading.tensors["weight"])
    )
    return (*_WAYS, _OTHER) if is_told else _WAYS


def _tell(turned: Turned) -> Words:
    ways = [way or "w" for way in (turned.reference, turned.candidate)]
    said = [f"by {way}" if way != "not used" else "by no weight" for way in ways]
    return Words(
        f"the norm scales {said[1]} where the reference scales {said[0]}",
        f"scale {said[0]}, w being the loaded weight",
    )


RULE = Knob(
    name="norm-weight",
    line="a norm scales by `w` on one side and by `1 + w`, by another weight or none on the other",
    families=("norm", "batch-norm"),
    acts={"weight": _change, "output": _rescale},
    values=_values,
    tell=_tell,
)
