"""A matrix of other values than the ones handed over: not loaded, still as initialised."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_SPARE = 4  # rows of the input beyond its width: with fewer any matrix would seem to fit
_WIDEST = 2048  # solving for the matrix takes the cube of its width


def _solve(weight: Numbers, cap: Value, reading: Reading) -> Numbers:
    """The matrix that makes what was made; `cap` is the soft-cap around it, 0.0 for none."""
    x = reading.tensors["x"].reshape(-1, weight.shape[1])
    made = reading.view.target.reshape(-1, weight.shape[0])
    if cap:
        made = cap * np.arctanh(made / cap)
    made = made - reading.tensors.get("bias", 0.0)
    if not np.isfinite(made).all():
        raise ValueError("the cap can't be undone")
    found, _, rank, _ = np.linalg.lstsq(x, made, rcond=None)
    if rank < weight.shape[1]:
        raise ValueError("the input doesn't tell the matrix")
    return np.asarray(found.T)


def _values(reading: Reading, chosen: Chosen) -> Iterable[Value]:
    x = reading.tensors["x"]
    if not np.isfinite(x).all() or not np.isfinite(reading.view.target).all():
        return ()
    width = x.shape[-1]
    if width > _WIDEST or x.size < width * (width + _SPARE):
        return ()
    return (float(chosen.get("logits-cap") or 0.0),)


def _tell(turned: Turned) -> Words:
    weight = turned.reading.tensors["weight"]
    side, cap = "candidate", turned.candidate
    view = turned.site.candidate
    if cap is None:
        side, cap, view = "reference", turned.reference, turned.site.reference
    found = _solve(weight, cap, Reading(view, turned.reading.tensors))
    alike = float((found * weight).sum() / np.sqrt((found**2).sum() * (weight**2).sum()))
    return Words(
        f"the {side} multiplies by another matrix than the one it was given: cosine {alike:.2g} to "
        f"it, standard deviation {found.std():.3g} for {weight.std():.3g}",
        "load the weight, and use it: it may be still as initialised, or not tied",
        {"cosine": alike, "standard deviation": float(found.std())},
    )


RULE = Knob(
    name="weight-unrelated",
    line="a matrix of other values is used: not loaded, as initialised, a tie that is none",
    families=("linear",),
    acts={"weight": _solve},
    values=_values,
    tell=_tell,
    is_odd=True,
)
