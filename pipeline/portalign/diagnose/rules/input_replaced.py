"""A computation that takes another tensor than it should: the head before the last norm."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.words import near


def _other(_x: Numbers, name: Value, reading: Reading) -> Numbers:
    return np.asarray(reading.others[name], np.float64)


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    shape = reading.tensors["x"].shape
    for name, array in reading.others.items():
        if array.shape == shape and name != reading.names.get("x"):
            yield name


def _tell(turned: Turned) -> Words:
    path = turned.site.origin.path
    own = turned.reading.names.get("x", "its input")
    ours, theirs = (near(each or own, path) for each in (turned.reference, turned.candidate))
    return Words(
        f"it is applied to {theirs}, in the reference to {ours}",
        f"apply it to {ours}; look whether a norm or an activation between the two is left out",
    )


RULE = Knob(
    name="input-replaced",
    line="a matrix is applied to another earlier tensor",
    families=("linear",),
    acts={"input": _other},
    values=_values,
    tell=_tell,
    is_odd=True,
)
