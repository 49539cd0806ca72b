"""A module that adds another one's bias: two biases exchanged, beside the right weights."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.rules.weight_swapped import exchanged, siblings


def _bias(_own: Numbers, other: Value, reading: Reading) -> Numbers:
    return np.asarray(reading.view.state[f"{other}.bias"], np.float64)


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return siblings(reading, "bias") if "bias" in reading.tensors else ()


def _tell(turned: Turned) -> Words:
    side, own, other = exchanged(turned)
    return Words(
        f"{own} of the {side} adds the bias of {other} to the right product",
        f"load the bias of {own} from {own}; look whether the two are swapped",
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
