from __future__ import annotations

from causes.places import Numbers, Seeded, in_float32, module
from causes.weight_transposed import BIAS, CLEAN, RIGHT, STATE, WEIGHT, X, linear
from portalign.diagnose.low import through

SMALL = 1e-3 * X  # among them numbers that float16 keeps fewer bits of


def _low(name: str) -> Numbers:
    return linear(through(X, name), through(WEIGHT, name), BIAS)


def _fault(reference: Numbers, candidate: Numbers, says: str) -> Seeded:
    site = in_float32(module(reference, candidate, inputs={"in.0": X}, state=STATE))
    return Seeded("product-precision", site, CLEAN, says=says, twin=CLEAN)


def _small(name: str) -> Seeded:
    exact = linear(SMALL, WEIGHT)
    made = linear(through(SMALL, name), through(WEIGHT, name))
    given = {"inputs": {"in.0": SMALL}, "state": {"weight": WEIGHT}}
    site, twin = (module(exact, other, **given) for other in (made, exact))  # type: ignore[arg-type]
    says = f"operands of the product through {name}"
    return Seeded("product-precision", in_float32(site), CLEAN, says=says, twin=twin)


FAULTS = (
    _fault(
        RIGHT, _low("TF32"), "10 bits of mantissa (TF32 or float16, which these numbers can not"
    ),
    _fault(_low("bfloat16"), RIGHT, "the reference rounds both operands of the product through bf"),
    _fault(RIGHT, _low("TF32, cut off"), "operands of the product through TF32, cut off"),
    _small("float16"),
    _small("TF32"),
)
