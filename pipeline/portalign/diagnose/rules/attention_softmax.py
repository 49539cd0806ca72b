"""Softmax over the queries instead of the keys."""

from __future__ import annotations

from collections.abc import Iterable

from portalign.diagnose.attention_core import softmax
from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_AXES = {"the queries": -2, "the heads": 1, "the batch": 0}


def _over(scores: Numbers, axis: Value, _reading: Reading) -> Numbers:
    return softmax(scores, _AXES[axis])


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return _AXES


def _tell(turned: Turned) -> Words:
    ours, theirs = (each or "the keys" for each in (turned.reference, turned.candidate))
    return Words(
        f"the softmax runs over {theirs}, in the reference over {ours}",
        f"take the softmax over {ours}" + (" (axis=-1)" if ours == "the keys" else ""),
    )


RULE = Knob(
    name="attention-softmax",
    line="the attention softmax runs over another axis",
    families=("attention",),
    acts={"softmax": _over},
    values=_values,
    tell=_tell,
    is_odd=True,
)
