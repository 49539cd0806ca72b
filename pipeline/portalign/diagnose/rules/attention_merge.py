"""Heads put together without being brought behind the positions first."""

from __future__ import annotations

from collections.abc import Iterable

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_PLAIN, _INNER = "heads before positions", "heads inside the width"


def _merge(context: Numbers, way: Value, _reading: Reading) -> Numbers:
    # [batch, heads, time, width] as it is, or [batch, time, width, heads]
    return context.copy() if way == _PLAIN else context.transpose(0, 2, 3, 1)


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (_PLAIN, _INNER)


def _tell(turned: Turned) -> Words:
    ours, theirs = (
        each or "positions before heads" for each in (turned.reference, turned.candidate)
    )
    return Words(
        f"the heads are merged with {theirs}, in the reference with {ours}",
        "transpose [batch, heads, time, width] to [batch, time, heads, width] before the reshape",
    )


RULE = Knob(
    name="attention-merge",
    line="the heads are merged without a transpose, or in another order",
    families=("attention",),
    acts={"merge": _merge},
    values=_values,
    tell=_tell,
    is_odd=True,
)
