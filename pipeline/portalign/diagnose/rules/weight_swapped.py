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
    return siblings(reading, "weight")


def siblings(reading: Reading, slot: str) -> list[str]:
    """Other modules with such a tensor of the same shape, nearest relatives first."""
    path, state = reading.view.path, reading.view.state
    own = state.get(f"{path}.{slot}")
    if own is None:
        return []
    alike = [
        name.removesuffix(f".{slot}")
        for name, values in state.items()
        if name.endswith(f".{slot}") and values.shape == own.shape and name != f"{path}.{slot}"
    ]
    return sorted(alike, key=lambda other: -len(common_path(other, path)))[:_MOST]


def exchanged(turned: Turned) -> tuple[str, str, str]:
    """The side, its module and the one whose tensor it uses, as their paths differ."""
    side, other = (
        ("candidate", turned.candidate) if turned.candidate else ("reference", turned.reference)
    )
    own, name = turned.site.reference.path, str(other)
    common = common_path(own, name)
    return side, own.removeprefix(f"{common}."), name.removeprefix(f"{common}.")


def _tell(turned: Turned) -> Words:
    side, own, other = exchanged(turned)
    return Words(
        f"{own} of the {side} uses the weights of {other}",
        f"load {own} from {own}; look whether the two are swapped",
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
