"""Two modules of equal shape that got each other's weights: query and key, gate and up."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers, common_path
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_MOST = 40  # other modules that are tried, nearest relatives first


def _weight(_own: Numbers, other: Value, reading: Reading) -> Numbers:
    return _of(other, "weight", reading)


def _bias(own: Numbers, other: Value, reading: Reading) -> Numbers:
    name = f"{other}.bias"
    return own if name not in reading.view.state else _of(other, "bias", reading)


def _of(other: Value, slot: str, reading: Reading) -> Numbers:
    values = np.asarray(reading.view.state[f"{other}.{slot}"], np.float64)
    return values.T if "turned" in reading.names and slot == "weight" else values


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    path, state = reading.view.path, reading.view.state
    own = state.get(f"{path}.weight")
    if own is None:
        return []
    alike = [
        name.removesuffix(".weight")
        for name, values in state.items()
        if name.endswith(".weight") and values.shape == own.shape and name != f"{path}.weight"
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
        f"{short[0]} of the {side} uses the weights of {short[1]}",
        f"load {short[0]} from {short[0]}; look whether the two are swapped",
    )


RULE = Knob(
    name="weight-swapped",
    line="a module uses another one's weights of the same shape (query and key, gate and up)",
    families=("linear", "conv", "embedding", "norm"),
    acts={"weight": _weight, "bias": _bias},
    values=_values,
    tell=_tell,
    is_odd=True,
)
