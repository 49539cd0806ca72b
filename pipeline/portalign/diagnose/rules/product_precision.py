"""A product whose operands go through a narrower type on one side: TF32, float16, bfloat16."""

from __future__ import annotations

from collections.abc import Iterable

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.low import LOW, TF32, TF32_CUT, through, told


def _round(operand: Numbers, name: Value, _reading: Reading) -> Numbers:
    return through(operand, name)


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (TF32, TF32_CUT, *LOW)


def _tell(turned: Turned) -> Words:
    side, names = (
        ("candidate", turned.candidate) if turned.candidate else ("reference", turned.reference)
    )
    return Words(
        f"the {side} rounds both operands of the product through {told(names)}",
        "turn TF32 off (torch.backends.cuda.matmul.allow_tf32, paddle: NVIDIA_TF32_OVERRIDE=0), or "
        "leave out the cast"
        if {TF32, TF32_CUT} & {*names}
        else "leave out the cast, or the autocast around it",
    )


RULE = Knob(
    name="product-precision",
    line="both operands of a product go through bfloat16, float16 or TF32 on one side",
    families=("linear",),
    acts={"input": _round, "weight": _round},
    values=_values,
    tell=_tell,
    is_precision=True,
)
