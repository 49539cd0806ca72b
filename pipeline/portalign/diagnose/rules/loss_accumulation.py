"""Batches whose gradients are accumulated, and what their losses are divided by."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_TOLD = {
    "": "the mean of their losses",
    "sum": "the sum of their losses",
    "labels": "one mean over the labels of all of them",
}
_REMEDIES = {
    "": "divide the loss of each batch by the number of batches that are accumulated",
    "sum": "don't divide the loss of a batch by the number of batches that are accumulated",
    "labels": "divide each batch's sum by the number of labels of all accumulated batches",
}


def _accumulate(weights: Numbers, value: Value, reading: Reading) -> Numbers:
    n_batches = int(reading.tensors["batches"])
    if value == "sum":
        return weights * n_batches
    parts = [part / part.max() for part in np.split(weights, n_batches)]
    whole = np.concatenate(parts)
    return np.asarray(whole / whole.sum())


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return ("sum", "labels") if reading.tensors["batches"] > 1 else ()


def _tell(turned: Turned) -> Words:
    n_batches = int(turned.reading.tensors["batches"])
    ours, theirs = (_TOLD[value] for value in (turned.reference, turned.candidate))
    return Words(
        f"of {n_batches} batches that are accumulated the candidate takes {theirs}, the reference "
        f"{ours}",
        _REMEDIES[turned.reference],
        {"batches": float(n_batches)},
    )


RULE = Knob(
    name="loss-accumulation",
    line="accumulated batches are not divided by their number, or by that of all their labels",
    families=("cross-entropy", "regression"),
    acts={"batches": _accumulate},
    values=_values,
    tell=_tell,
    neutral="",
)
