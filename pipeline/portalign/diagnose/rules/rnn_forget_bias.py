"""One added to the forget gate on one side."""

from __future__ import annotations

from collections.abc import Iterable

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.words import number


def _add(gate: Numbers, amount: Value, _reading: Reading) -> Numbers:
    added: Numbers = gate + amount
    return added


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (1.0, 2.0)


def _tell(turned: Turned) -> Words:
    ours, theirs = turned.reference, turned.candidate
    return Words(
        f"{number(theirs)} is added to the forget gate, in the reference {number(ours)}",
        f"add {ours:g} to the forget gate (forget_bias, unit_forget_bias)",
        {"reference forget bias": ours, "candidate forget bias": theirs},
    )


RULE = Knob(
    name="rnn-forget-bias",
    line="a constant is added to the forget gate of an LSTM; it is fitted",
    families=("recurrent",),
    acts={"forget gate": _add},
    values=_values,
    tell=_tell,
    neutral=0.0,
    guesses=(0.0,),
)
