"""Labels that are ignored on one side and count on the other, in the sum or in its divisor."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_MOST = 4  # classes that may be the ignored one: the first, the last, the most frequent


def _ignore(kept: Numbers, value: Value, reading: Reading) -> Numbers:
    labels = reading.tensors["labels"]
    places = labels[..., labels.shape[-1] - kept.shape[-1] :]
    return np.asarray(kept * (places != value))


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    n_classes = reading.tensors["scores"].shape[-1]
    found, counts = np.unique(reading.tensors["labels"], return_counts=True)
    often = [float(found[i]) for i in np.argsort(-counts) if found[i] >= 0]
    likely = [n for n in (0.0, n_classes - 1.0) if n in often]
    return list(dict.fromkeys([*likely, *often]))[:_MOST]


def _tell(turned: Turned) -> Words:
    ours, theirs = (_told(value) for value in (turned.reference, turned.candidate))
    return Words(
        f"the loss leaves out {theirs}, the reference {ours}",
        f"leave out {ours}: set ignore_index",
    )


def _told(value: Value) -> str:
    return "no class" if value is None else f"the labels {value:g}"


RULE = Knob(
    name="loss-ignored",
    line="the loss leaves out labels of a class (ignore_index) on one side",
    families=("cross-entropy",),
    acts={"kept": _ignore},
    values=_values,
    tell=_tell,
)
