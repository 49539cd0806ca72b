from __future__ import annotations

from causes.attention_scale import WIDTH, Core, fault
from causes.rotary_style import HALVES

FAULTS = (
    fault("rotary-fraction", Core(rotary="halves", share=4 / WIDTH), HALVES, says="whole width"),
)
