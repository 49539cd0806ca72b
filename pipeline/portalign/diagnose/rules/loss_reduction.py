"""What a loss divides its sum by: nothing, the kept labels, all labels, those of each row."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.words import number

_MEAN = "the mean over the labels that are kept"
_TOLD = {
    "sum": "the sum (reduction='sum')",
    "all": "the sum divided by the number of all labels, the ignored ones too",
    "first": "the sum divided by the batch size",
    "rows": "the mean of the means of each sequence",
}


def _reduce(kept: Numbers, value: Value, _reading: Reading) -> Numbers:
    if value == "sum":
        return kept.copy()
    if value == "all":
        return kept / kept.size
    if value == "first":
        return np.asarray(kept / len(kept))
    if value == "rows":
        parts = kept.reshape(len(kept), -1).sum(1).reshape(-1, *[1] * (kept.ndim - 1))
        return np.asarray(kept / parts / len(kept))
    mean: Numbers = kept / kept.sum()
    return mean * float(value)


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    yield "sum"
    if "labels" not in reading.tensors:
        yield "first"
        return
    if not np.isin(reading.tensors["labels"], range(reading.tensors["scores"].shape[-1])).all():
        yield "all"
    if reading.tensors["labels"].ndim > 1:
        yield from ("first", "rows")


def _tell(turned: Turned) -> Words:
    is_of_labels = "labels" in turned.reading.tensors
    mean = _MEAN if is_of_labels else "the mean over all elements"
    ours, theirs = (_told(value, mean) for value in (turned.reference, turned.candidate))
    factors = {
        f"{side} factor": value
        for side, value in (("reference", turned.reference), ("candidate", turned.candidate))
        if isinstance(value, float)
    }
    return Words(f"the loss is {theirs}, the reference's {ours}", f"take {ours}", factors)


def _told(value: Value, mean: str) -> str:
    return f"{number(value)} times {mean}" if isinstance(value, float) else _TOLD.get(value, mean)


RULE = Knob(
    name="loss-reduction",
    line="the loss is a sum or another mean (over all labels, of each sequence's), or scaled",
    families=("cross-entropy", "regression"),
    acts={"reduction": _reduce},
    values=_values,
    tell=_tell,
    neutral="",
    guesses=(1.0,),
    is_log=True,
)
