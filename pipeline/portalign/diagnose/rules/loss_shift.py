"""Labels of the next place against labels of the same one: a language model's loss, unshifted."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words


def _later(_places: Numbers, value: Value, _reading: Reading) -> Numbers:
    return np.asarray(float(value))


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    labels = reading.tensors["labels"]
    return [n for n in (1, 2) if labels.ndim > 1 and labels.shape[-1] > n]


def _tell(turned: Turned) -> Words:
    ours, theirs = (_told(value) for value in (turned.reference, turned.candidate))
    return Words(
        f"the loss takes the labels of {theirs}, the reference those of {ours}",
        f"shift the labels once, so that scores meet the labels of {ours}",
        {"reference shift": float(turned.reference), "candidate shift": float(turned.candidate)},
    )


def _told(value: Value) -> str:
    return ("the same place", "the next place", "the place after the next")[value]


RULE = Knob(
    name="loss-shift",
    line="labels are shifted against the scores on one side: not at all, once, twice",
    families=("cross-entropy",),
    acts={"later": _later},
    values=_values,
    tell=_tell,
    neutral=0,
    is_wide=True,
)
