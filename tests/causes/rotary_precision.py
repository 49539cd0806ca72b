from __future__ import annotations

from causes.attention_scale import Core, low
from causes.rotary_style import HALVES

FAULTS = (
    low(
        "rotary-precision",
        Core(rotary="halves", low_angles="bfloat16"),
        HALVES,
        "the candidate computes the rotary angles in bfloat16",
    ),
)
