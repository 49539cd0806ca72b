"""Gate and up of a gated MLP exchanged: the activation runs over the other one."""

from __future__ import annotations

from collections.abc import Iterable

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.words import near


def _up(_gate: Numbers, _is_on: Value, reading: Reading) -> Numbers:
    return reading.tensors["up"]


def _gate(_up: Numbers, _is_on: Value, reading: Reading) -> Numbers:
    return reading.tensors["gate"]


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (True,)


def _tell(turned: Turned) -> Words:
    names = [near(turned.reading.names[n], turned.site.origin.path) for n in ("gate", "up")]
    ours = names[turned.reference]
    return Words(
        f"the activation runs over {names[turned.candidate]}, in the reference over {ours}",
        f"exchange gate and up: apply the activation to {ours}",
    )


RULE = Knob(
    name="gate-swapped",
    line="gate and up are exchanged in a gated MLP",
    families=("gated",),
    acts={"gate": _up, "up": _gate},
    values=_values,
    tell=_tell,
    neutral=False,
    is_odd=True,
)
