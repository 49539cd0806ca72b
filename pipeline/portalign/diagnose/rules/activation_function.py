"""Another activation function: tanh GELU for erf GELU, GELU for SiLU, one left out altogether."""

from __future__ import annotations

from collections.abc import Iterable

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.functions import FUNCTIONS

_CALLS = {
    "gelu (erf)": "gelu(x) with approximate='none' (paddle: approximate=False)",
    "gelu (tanh)": "gelu(x) with approximate='tanh' (paddle: approximate=True)",
    "silu (swish)": "silu(x)",
}


def _apply(x: Numbers, name: Value, _reading: Reading) -> Numbers:
    return FUNCTIONS[name](x)


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return FUNCTIONS


def _tell(turned: Turned) -> Words:
    reference, candidate = turned.reference, turned.candidate
    if candidate == "identity":
        claim = f"the activation is left out where the reference has {reference}"
    elif reference == "identity":
        claim = f"there is an activation, {candidate}, where the reference has none"
    else:
        claim = f"the activation is {candidate} where the reference has {reference}"
    return Words(
        claim,
        "leave the activation out"
        if reference == "identity"
        else f"call {_CALLS.get(reference, reference)}",
    )


RULE = Knob(
    name="activation-function",
    line="another activation function (GELU variants, SiLU, the ReLU family, hard ones), or none",
    families=("activation", "gated"),
    acts={"function": _apply},
    values=_values,
    tell=_tell,
    neutral="identity",
    is_wide=True,
)
