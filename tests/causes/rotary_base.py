from __future__ import annotations

from causes.attention_scale import Core, fault
from causes.rotary_style import HALVES

FAULTS = tuple(
    fault(
        "rotary-base",
        Core(rotary="halves", base=base),
        HALVES,
        fitted={"reference base": 10000.0, "candidate base": base},
    )
    for base in (500000.0, 23456.0)
)
