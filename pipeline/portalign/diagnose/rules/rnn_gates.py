"""The gates of an LSTM or GRU in another order: i f g o against i f o g."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.families.recurrent import N_GATES
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words


def _order(gates: Numbers, order: Value, _reading: Reading) -> Numbers:
    return gates[list(order)]


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    n = N_GATES[reading.names["kind"]]
    return [order for order in permutations(range(n)) if order != tuple(range(n))]


def _tell(turned: Turned) -> Words:
    letters = "ifgo" if turned.reading.names["kind"] == "LSTM" else "rzn"
    plain = tuple(range(len(letters)))
    # where the computation finds each gate -> which gate stands in each part of the weights
    orders = [
        " ".join(letters[order.index(part)] for part in plain)
        for order in (turned.reference or plain, turned.candidate or plain)
    ]
    return Words(
        f"the gates are read in the order {orders[1]}, in the reference {orders[0]}",
        "reorder the four parts of the weights and biases when they are loaded",
    )


RULE = Knob(
    name="rnn-gates",
    line="the gates of an LSTM or GRU stand in another order",
    families=("recurrent",),
    acts={"gates": _order},
    values=_values,
    tell=_tell,
    is_odd=True,
)
