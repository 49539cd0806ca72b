"""Positions that start elsewhere, or run otherwise, for query or key."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words


def _query(places: Numbers, way: Value, _reading: Reading) -> Numbers:
    which, amount = way
    scaled: Numbers = places * (amount if which == "scaled" else 1.0)
    return scaled


def _key(places: Numbers, way: Value, _reading: Reading) -> Numbers:
    which, amount = way
    if which == "scaled":
        scaled: Numbers = places * amount
        return scaled
    moved: Numbers = np.roll(places, -amount) if which == "rolled" else places + amount
    return moved


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    steps = (1, -1, 2, -2)
    yield from (("shifted", step) for step in steps)
    yield from (("rolled", step) for step in steps)
    yield from (("scaled", factor) for factor in (0.5, 0.25, 0.125, 2.0))


def _tell(turned: Turned) -> Words:
    ours, theirs = _said(turned.reference), _said(turned.candidate)
    return Words(f"{theirs}, in the reference {ours}", f"rotate so that {ours}")


def _said(way: Value) -> str:
    if way is None:
        return "query and key of one place are rotated alike"
    which, amount = way
    if which == "scaled":
        return f"the rotary positions are scaled by {amount:g}"
    return f"the key is rotated by the position {amount:+d} against the query"


RULE = Knob(
    name="rotary-places",
    line="rotary positions of query and key are shifted against each other, or scaled",
    families=("attention",),
    acts={"rotary query places": _query, "rotary key places": _key},
    values=_values,
    tell=_tell,
    is_odd=True,
)
