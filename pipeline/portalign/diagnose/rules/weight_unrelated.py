"""A matrix of other values than the ones handed over: not loaded, still as initialised."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_SPARE = 4  # rows of the input beyond its width: with fewer any matrix would seem to fit
_WIDEST = 1024  # solving for the matrix takes the cube of its width: 3 s of one core at 1024
_ENOUGH = 2  # times its width: rows from which it is solved; the proof takes all of them


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """What a matrix was multiplied with, and what came of it."""

    x: Numbers
    target: Numbers
    bias: Numbers | None

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, _Made) and self.x is other.x and self.target is other.target
        return same and isinstance(other, _Made) and self.bias is other.bias

    def __hash__(self) -> int:
        return hash((id(self.x), id(self.target)))


def _solve(_weight: Numbers, cap: Value, reading: Reading) -> Numbers:
    """The matrix that makes what was made; `cap` is the soft-cap around it, 0.0 for none."""
    tensors = reading.tensors
    return _solved(_Made(tensors["x"], reading.view.target, tensors.get("bias")), cap)


@lru_cache(maxsize=2)  # a search asks again beside every other knob
def _solved(given: _Made, cap: float) -> Numbers:
    x = given.x.reshape(-1, given.x.shape[-1])
    made = given.target.reshape(-1, given.target.shape[-1])
    width = x.shape[1]
    rows = np.linspace(0, len(x) - 1, min(len(x), _ENOUGH * width + _SPARE)).astype(int)
    x, made = x[rows], made[rows]
    with np.errstate(all="ignore"):
        made = cap * np.arctanh(made / cap) if cap else made
    made = made if given.bias is None else made - given.bias
    if not np.isfinite(made).all():
        raise ValueError("the cap can't be undone")
    found, _, rank, _ = np.linalg.lstsq(x, made, rcond=None)
    if rank < width:
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
