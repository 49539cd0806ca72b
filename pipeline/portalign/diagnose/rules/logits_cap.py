"""A soft-cap on what a head gives out: cap * tanh(logits / cap)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.words import number


def _cap(logits: Numbers, cap: Value, _reading: Reading) -> Numbers:
    capped: Numbers = cap * np.tanh(logits / cap)
    return capped


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (30.0, 50.0, 15.0)


def _tell(turned: Turned) -> Words:
    sides = (turned.reference, turned.candidate)
    ours, theirs = ("none" if cap is None else number(cap) for cap in sides)
    return Words(
        f"the soft-cap of the output is {theirs}, in the reference {ours}",
        f"cap it with {turned.reference:g} * tanh(x / {turned.reference:g})"
        if turned.reference
        else "leave the soft-cap out",
        {
            name: cap
            for name, cap in zip(("reference cap", "candidate cap"), sides, strict=True)
            if cap is not None
        },
    )


RULE = Knob(
    name="logits-cap",
    line="a soft-cap on the logits is missing or another; its value is fitted",
    families=("linear", "activation"),
    acts={"output": _cap, "function": _cap},
    values=_values,
    tell=_tell,
    is_wide=True,
    guesses=(20.0,),
    is_log=True,
)
