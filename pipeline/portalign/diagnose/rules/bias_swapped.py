"""A module that adds another one's bias: two biases exchanged, beside the right weights."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers, common_path
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_MOST = 40  # other modules that are tried, nearest relatives first


def _bias(_own: Numbers, other: Value, reading: Reading) -> Numbers:
    return np.asarray(reading.view.state[f"{other}.bias"], np.float64)


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    path, own = reading.view.path, reading.tensors.get("bias")
    if own is None:
        return []
    alike = [
        name.removesuffix(".bias")
        for name, values in reading.view.state.items()
        if name.endswith(".bias") and values.shape == own.shape and name != f"{path}.bias"
    ]
    return sorted(alike, key=lambda other: -len(common_path(other, path)))[:_MOST]


def _tell(turned: Turned) -> Words:
    side, other = (
        ("candidate", turned.candidate) if turned.candidate else ("reference", turned.reference)
    )
    own, name = turned.site.reference.path, str(other)
    common = common_path(own, name)
    short = [each.removeprefix(f"{common}.") for each in (own, name)]
    return Words(
        f"{short[0]} of the {side} adds the bias of {short[1]} to the right product",
        f"load the bias of {short[0]} from {short[0]}; look whether the two are swapped",
    )


RULE = Knob(
    name="bias-swapped",
    line="a module adds another one's bias of the same shape",
    families=("linear", "conv", "norm"),
    acts={"bias": _bias},
    values=_values,
    tell=_tell,
    is_odd=True,
)
