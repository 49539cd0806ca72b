"""A weight of other values than the one handed over: not loaded, still as initialised.

A matrix or kernel is solved for from its input, the rows of a table are read off where ids come
twice.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.solved import SPARE, WIDEST, Made, kernel, matrix, table

_NEAR = 0.5  # cosine from which it is no chance, for weights of some hundred numbers
_SCALED = 1.0 - 1e-12  # cosine from which it is the given one times a number
_WORDS = {
    "matrix": "multiplies by another matrix",
    "table": "looks ids up in another table",
    "kernel": "convolves with another kernel",
}


def _solve(weight: Numbers, value: Value, reading: Reading) -> Numbers:
    """The weight that makes what was made.

    Raises:
        ValueError: the input doesn't tell it, or it is the given one times a number.
    """
    what, how = value
    tensors, target = reading.tensors, reading.view.target
    if what == "table":
        found = table(tensors["ids"], tensors["weight"], target)
    else:
        given = Made(tensors["x"], target, tensors.get("bias"), weight)
        found = matrix(given, how) if what == "matrix" else kernel(given, weight.shape, *how)
    if _cosine(*_used(found, weight, reading)) > _SCALED:
        raise ValueError("it is the weight, or scaled")
    return found


def _used(found: Numbers, weight: Numbers, reading: Reading) -> tuple[Numbers, Numbers]:
    """Of tables the rows of the ids that occur."""
    if "ids" not in reading.tensors:
        return found, weight
    used = np.unique(reading.tensors["ids"]).astype(int)
    return found[used], weight[used]


def _values(reading: Reading, chosen: Chosen) -> Iterable[Value]:
    if "ids" in reading.tensors:
        ids = reading.tensors["ids"]
        return (("table", None),) if ids.size >= len(np.unique(ids)) + SPARE else ()
    x, weight = reading.tensors["x"], reading.tensors["weight"]
    if not np.isfinite(x).all() or not np.isfinite(reading.view.target).all():
        return ()
    n_rows = reading.view.target.size // max(len(weight), 1)
    if weight[0].size > WIDEST or n_rows < weight[0].size + SPARE:
        return ()
    if weight.ndim == 2:
        return (("matrix", float(chosen.get("logits-cap") or 0.0)),)
    sides = chosen.get("conv-padding") or (0, 0)
    stride, dilation = (chosen.get(f"conv-{name}") or 1 for name in ("stride", "dilation"))
    return () if isinstance(sides, str) else (("kernel", (tuple(sides), stride, dilation)),)


def _tell(turned: Turned) -> Words:
    weight = turned.reading.tensors["weight"]
    side, value, view = "candidate", turned.candidate, turned.site.candidate
    if value is None:
        side, value, view = "reference", turned.reference, turned.site.reference
    found = _solve(weight, value, Reading(view, turned.reading.tensors))
    found, weight = _used(found, weight, turned.reading)
    alike = _cosine(found, weight)
    return Words(
        f"the {side} {_WORDS[value[0]]} than the one it was given: cosine {alike:.2g} to "
        f"it, standard deviation {found.std():.3g} for {weight.std():.3g}",
        "load the weight, and use it: it may be still as initialised, or not tied"
        if abs(alike) < _NEAR
        else "look what is done to it: normalised, masked, loaded in part, of another checkpoint",
        {"cosine": alike, "standard deviation": float(found.std())},
    )


def _cosine(one: Numbers, other: Numbers) -> float:
    return float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()))


RULE = Knob(
    name="weight-unrelated",
    line="a weight of other values is used: not loaded, as initialised, a tie that is none",
    families=("linear", "embedding", "conv"),
    acts={"weight": _solve},
    values=_values,
    tell=_tell,
    is_odd=True,
)
