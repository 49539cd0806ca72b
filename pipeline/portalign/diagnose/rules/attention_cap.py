"""A soft-cap on the attention scores: cap * tanh(scores / cap)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.words import number


def _cap(scores: Numbers, cap: Value, _reading: Reading) -> Numbers:
    capped: Numbers = cap * np.tanh(scores / cap)
    return capped


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (50.0, 30.0, 20.0)


def _tell(turned: Turned) -> Words:
    ours, theirs = (
        "none" if cap is None else number(cap) for cap in (turned.reference, turned.candidate)
    )
    fitted = {"reference cap": turned.reference, "candidate cap": turned.candidate}
    return Words(
        f"the soft-cap of the attention scores is {theirs}, in the reference {ours}",
        f"cap the scores with {ours}: cap * tanh(scores / cap)"
        if turned.reference
        else "leave the soft-cap out",
        {name: cap for name, cap in fitted.items() if cap is not None},
    )


RULE = Knob(
    name="attention-cap",
    line="a soft-cap on the attention scores; its value is fitted",
    families=("attention",),
    acts={"cap": _cap},
    values=_values,
    tell=_tell,
    guesses=(40.0,),
    is_log=True,
)
