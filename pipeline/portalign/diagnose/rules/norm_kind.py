"""Mean subtracted or not: LayerNorm against RMSNorm."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words


def _centre(x: Numbers, _is_on: Value, _reading: Reading) -> Numbers:
    centred: Numbers = x - np.mean(x, axis=-1, keepdims=True)
    return centred


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (True,)


def _tell(turned: Turned) -> Words:
    if turned.reference:
        return Words(
            "the norm doesn't subtract the mean (RMSNorm), the reference's does (LayerNorm)",
            "use LayerNorm, or subtract the mean before the variance is taken",
        )
    return Words(
        "the norm subtracts the mean (LayerNorm), the reference's doesn't (RMSNorm)",
        "use RMSNorm: x * rsqrt(mean(x * x) + eps) * weight",
    )


RULE = Knob(
    name="norm-kind",
    line="a norm subtracts the mean on one side only (LayerNorm against RMSNorm)",
    families=("norm",),
    acts={"centred": _centre},
    values=_values,
    tell=_tell,
    neutral=False,
    is_wide=True,
)
