"""The GRU of another library: reset before the multiplication, the update gate the other way."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_RESET = "the reset gate before the multiplication (reset_after=False)"
_UPDATE = "the update gate the other way round: (1 - z) * old + z * new"
_PLAIN = "torch's GRU: reset after the multiplication, (1 - z) * new + z * old"


def _before(after: Numbers, way: Value, _reading: Reading) -> Numbers:
    return np.asarray(1.0) if way == _RESET else after


def _invert(update: Numbers, way: Value, _reading: Reading) -> Numbers:
    return 1.0 - update if way == _UPDATE else update


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (_RESET, _UPDATE) if reading.names["kind"] == "GRU" else ()


def _tell(turned: Turned) -> Words:
    ours, theirs = (each or _PLAIN for each in (turned.reference, turned.candidate))
    return Words(f"the candidate has {theirs}, the reference {ours}", f"use {ours}")


RULE = Knob(
    name="gru-variant",
    line="a GRU of another kind: reset before the multiplication, update gate the other way round",
    families=("recurrent",),
    acts={"reset": _before, "update gate": _invert},
    values=_values,
    tell=_tell,
)
