"""The weights of a recurrent layer transposed gate by gate, or rounded."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import product

import ml_dtypes
import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.families.recurrent import N_GATES
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_DTYPES = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16}


def _change(weight: Numbers, way: Value, reading: Reading, *, which: str) -> Numbers:
    ours, what = way
    if ours != which:
        return weight
    if what in _DTYPES:
        return weight.astype(np.float32).astype(_DTYPES[what]).astype(np.float64)
    n = N_GATES[reading.names["kind"]]
    return np.concatenate([part.T for part in np.split(weight, n)])


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return product(("hidden", "input"), ("transposed", *_DTYPES))


def _tell(turned: Turned) -> Words:
    side, way = (
        ("candidate", turned.candidate) if turned.candidate else ("reference", turned.reference)
    )
    what = "transposed gate by gate" if way[1] == "transposed" else f"rounded through {way[1]}"
    return Words(
        f"the {side} uses the {way[0]} weights {what}",
        "load the weights as they are, each gate [hidden, in]",
    )


RULE = Knob(
    name="rnn-weight",
    line="input or hidden weights of an LSTM or GRU are transposed gate by gate, or rounded",
    families=("recurrent",),
    acts={
        "weight_ih": partial(_change, which="input"),
        "weight_hh": partial(_change, which="hidden"),
    },
    values=_values,
    tell=_tell,
    is_odd=True,
)
