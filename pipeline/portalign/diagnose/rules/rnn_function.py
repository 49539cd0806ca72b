"""Other functions in the cell: hard sigmoid gates, no tanh on the cell state."""

from __future__ import annotations

from collections.abc import Iterable

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.functions import FUNCTIONS

_CELL = "the cell state without tanh"
_HARD = ("hard sigmoid (x / 6 + 1 / 2)", "hard sigmoid (0.2 x + 1 / 2)")


def _gate(gate: Numbers, way: Value, _reading: Reading) -> Numbers:
    return FUNCTIONS[way](gate) if way in _HARD else gate


def _cell(cell: Numbers, way: Value, _reading: Reading) -> Numbers:
    return cell.copy() if way == _CELL else cell


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (*_HARD, _CELL)


def _tell(turned: Turned) -> Words:
    ours, theirs = (each or "sigmoid and tanh" for each in (turned.reference, turned.candidate))
    return Words(f"the cell uses {theirs}, in the reference {ours}", f"use {ours}")


RULE = Knob(
    name="rnn-function",
    line="other functions inside an LSTM or GRU: hard gates, no tanh of the cell",
    families=("recurrent",),
    acts={"gate function": _gate, "cell function": _cell},
    values=_values,
    tell=_tell,
)
