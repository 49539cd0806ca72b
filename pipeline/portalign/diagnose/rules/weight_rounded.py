"""A weight that went through bfloat16 or float16 on one side, equal bit for bit to its rounding."""

from __future__ import annotations

from collections.abc import Iterable

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.low import LOW, through


def _round(values: Numbers, name: Value, _reading: Reading) -> Numbers:
    return through(values, name)


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return LOW


def _tell(turned: Turned) -> Words:
    side, dtype = (
        ("candidate", turned.candidate) if turned.candidate else ("reference", turned.reference)
    )
    return Words(
        f"the {side} uses the weight rounded through {dtype}, bit for bit",
        f"keep the weight in the dtype of the checkpoint; don't load or cast it as {dtype}",
    )


RULE = Knob(
    name="weight-rounded",
    line="a weight went through bfloat16 or float16 on one side",
    families=("linear", "conv", "embedding", "norm", "batch-norm", "lstm", "gru"),
    acts={"weight": _round, "weight_hh": _round, "weight_ih": _round},
    values=_values,
    tell=_tell,
    is_odd=True,
)
