"""Query, key and value in another order."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_NAMES = ("query", "key", "value")


def _order(_order: Numbers, order: Value, _reading: Reading) -> Numbers:
    return np.array(order, np.float64)


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return [order for order in permutations(range(3)) if order != (0, 1, 2)]


def _tell(turned: Turned) -> Words:
    orders = (turned.reference or (0, 1, 2), turned.candidate or (0, 1, 2))
    ours, theirs = (", ".join(_NAMES[i] for i in order) for order in orders)
    return Words(
        f"the attention takes {theirs} for {ours}",
        "look at the order in which query, key and value are unpacked or passed",
    )


RULE = Knob(
    name="attention-operands",
    line="query, key and value in another order",
    families=("attention",),
    acts={"operands": _order},
    values=_values,
    tell=_tell,
    is_odd=True,
)
