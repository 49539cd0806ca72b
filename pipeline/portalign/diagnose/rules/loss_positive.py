"""What positive elements count in a binary cross entropy: pos_weight."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.words import number


def _weigh(counts: Numbers, value: Value, reading: Reading) -> Numbers:
    return np.asarray(np.where(reading.tensors["target"] == 1.0, value * counts, counts))


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return ()


def _tell(turned: Turned) -> Words:
    reference, candidate = turned.reference, turned.candidate
    return Words(
        f"positive elements count {number(candidate)} times in the loss, in the reference "
        f"{number(reference)} times",
        f"give the loss pos_weight={reference:g}",
        {"reference weight": reference, "candidate weight": candidate},
    )


RULE = Knob(
    name="loss-positive",
    line="positive elements count more or less in a binary cross entropy (pos_weight); fitted",
    families=("regression",),
    acts={"positive": _weigh},
    values=_values,
    tell=_tell,
    neutral=1.0,
    guesses=(1.5,),
    is_log=True,
)
