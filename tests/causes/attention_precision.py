from __future__ import annotations

from causes.attention_scale import Core, low

FAULTS = (
    low("attention-precision", Core(low="float16", low_at="operands"), says="rounds query and key"),
    low("attention-precision", Core(low="bfloat16", low_at="all"), says="rounds all of its att"),
    low("attention-precision", Core(low="bfloat16"), says="candidate rounds its attention scores"),
    low("attention-precision", Core(), Core(low="float16"), "the reference rounds"),
)
