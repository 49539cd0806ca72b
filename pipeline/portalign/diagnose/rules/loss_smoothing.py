"""Label smoothing on one side only, or of another strength."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.words import number

_USUAL = (0.1, 0.05, 0.2)  # in single precision too, in which paddle 3.3.1 smooths labels


def _smooth(_none: Numbers, value: Value, _reading: Reading) -> Numbers:
    return np.asarray(float(value))


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return [number for usual in _USUAL for number in (usual, float(np.float32(usual)))]


def _tell(turned: Turned) -> Words:
    reference, candidate = turned.reference, turned.candidate
    return Words(
        f"the loss smooths its labels by {number(candidate)}, the reference's by "
        f"{number(reference)}",
        f"give the loss label_smoothing={reference:g}",
        {"reference smoothing": reference, "candidate smoothing": candidate},
    )


RULE = Knob(
    name="loss-smoothing",
    line="label smoothing on one side only, or of another strength; it is fitted",
    families=("cross-entropy",),
    acts={"smoothing": _smooth},
    values=_values,
    tell=_tell,
    neutral=0.0,
    guesses=(0.05,),
)
