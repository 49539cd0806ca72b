"""One of the two biases of a recurrent layer dropped."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words


def _drop(bias: Numbers, dropped: Value, _reading: Reading, *, which: str) -> Numbers:
    return np.zeros_like(bias) if dropped in (which, "input and hidden") else bias


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return ("hidden", "input", "input and hidden")


def _tell(turned: Turned) -> Words:
    side, which = (
        ("candidate", turned.candidate) if turned.candidate else ("reference", turned.reference)
    )
    return Words(
        f"the {side} leaves out the {which} bias",
        "add both biases, or load their sum where the layer has one",
    )


RULE = Knob(
    name="rnn-bias",
    line="the input or hidden bias of an LSTM or GRU is dropped",
    families=("recurrent",),
    acts={"bias_ih": partial(_drop, which="input"), "bias_hh": partial(_drop, which="hidden")},
    values=_values,
    tell=_tell,
    is_odd=True,
)
