"""A softmax before a loss that takes the softmax itself."""

from __future__ import annotations

from collections.abc import Iterable

from portalign.diagnose.attention_core import softmax
from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words


def _first(scores: Numbers, _is_on: Value, _reading: Reading) -> Numbers:
    return softmax(scores, -1)


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (True,)


def _tell(turned: Turned) -> Words:
    side = "candidate" if turned.candidate else "reference"
    return Words(
        f"the {side} takes the softmax twice: once before a cross entropy that takes it itself",
        "hand the loss the logits" if turned.candidate else "take the softmax before the loss too",
    )


RULE = Knob(
    name="loss-softmax",
    line="a softmax stands before a cross entropy that takes it itself",
    families=("cross-entropy",),
    acts={"scores": _first},
    values=_values,
    tell=_tell,
    neutral=False,
)
