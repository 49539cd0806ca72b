"""Rows of a weight in another order: a vocabulary shifted by one, heads exchanged, rotary halves
stored as neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.orders import ZERO, matched, said
from portalign.diagnose.solved import Made

_WITH_BIAS, _ALONE = "with the bias", "without the bias"


def _rows(weight: Numbers, value: Value, _reading: Reading) -> Numbers:
    order = np.array(value[1])
    kept = np.where((order == ZERO).reshape(-1, *[1] * (weight.ndim - 1)), 0.0, weight[order])
    return np.asarray(kept)


def _bias(bias: Numbers, value: Value, reading: Reading) -> Numbers:
    return _rows(bias, value, reading) if value[0] == _WITH_BIAS else bias


def _values(reading: Reading, chosen: Chosen) -> Iterable[Value]:
    tensors, target = reading.tensors, reading.view.target
    if not np.isfinite(target).all():
        return
    if "ids" in tensors:
        yield from _looked_up(tensors["ids"], tensors["weight"], target)
        return
    given = Made(tensors["x"], target, tensors.get("bias"), tensors["weight"])
    yield from _orders(given, float(chosen.get("logits-cap") or 0.0))


@lru_cache(maxsize=2)  # a search asks again beside every other knob
def _orders(given: Made, cap: float) -> tuple[Value, ...]:
    weight = np.zeros((1, 1)) if given.weight is None else given.weight
    made = given.x.reshape(-1, given.x.shape[-1]) @ weight.T  # [rows, out]
    target = given.target.reshape(-1, given.target.shape[-1])
    with np.errstate(all="ignore"):
        target = cap * np.arctanh(target / cap) if cap else target
    if given.bias is None:
        return _order(_WITH_BIAS, made, target)
    both = _order(_WITH_BIAS, made + given.bias, target)
    return both or _order(_ALONE, made, target - given.bias)


def _order(way: str, ours: Numbers, theirs: Numbers) -> tuple[Value, ...]:
    """In which order the columns of theirs are those of ours; nothing if they aren't."""
    order = matched(ours.T, theirs.T)
    if order is None or order == list(range(len(order))) or set(order) == {ZERO}:
        return ()
    return ((way, tuple(order)),)


def _looked_up(ids: Numbers, table: Numbers, target: Numbers) -> Iterable[Value]:
    """For each id that was given the row that was taken; all others stay."""
    given, first = np.unique(ids, return_index=True)
    rows = target.reshape(-1, target.shape[-1])[first]
    found = matched(table, rows)
    places = given.astype(int)
    if found is None or ZERO in found or list(places) == found or places.max() >= len(table):
        return
    order = np.arange(len(table))
    order[places] = found
    yield _ALONE, tuple(int(at) for at in order)


def _tell(turned: Turned) -> Words:
    value = turned.candidate or turned.reference
    side = "candidate" if turned.candidate else "reference"
    ids = turned.reading.tensors.get("ids")
    if ids is not None:
        return _of_vocabulary(side, value, np.unique(ids).astype(int))
    return Words(
        f"the rows of the {side}'s weight {list(turned.reading.tensors['weight'].shape)} stand "
        f"{said(value[1])}",
        "bring the rows into the reference's order when the weight is loaded, or bring back what "
        "they make",
    )


def _of_vocabulary(side: str, value: Value, given: Numbers) -> Words:
    taken = np.array(value[1])[given]
    steps = np.unique(taken - given)
    if len(steps) == 1:
        return Words(
            f"the vocabulary is shifted: for an id the {side} looks up the row at {steps[0]:+d}",
            "give every id its own row: look for a token that is put before or left out of the "
            "table",
            {"shift": float(steps[0])},
        )
    is_other = taken != given
    few = ", ".join(
        f"{a} for {b}" for a, b in zip(taken[is_other][:3], given[is_other][:3], strict=True)
    )
    return Words(
        f"the vocabulary stands in another order: of {len(given)} ids that occur the {side} looks "
        f"up another row for {int(is_other.sum())} ({few})",
        "load the table in the order of the tokenizer's ids",
    )


RULE = Knob(
    name="weight-rows",
    line="rows stand in another order: vocabulary shifted, heads exchanged, rotary halves",
    families=("linear", "embedding"),
    acts={"weight": _rows, "bias": _bias},
    values=_values,
    tell=_tell,
    is_odd=True,
)
