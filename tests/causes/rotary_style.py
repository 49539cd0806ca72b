from __future__ import annotations

from causes.attention_scale import Core, fault

HALVES = Core(rotary="halves")
FAULTS = (
    fault("rotary-style", Core(rotary="neighbours"), HALVES, says="turn neighbours"),
    fault("rotary-style", Core(), HALVES, says="aren't rotated"),
)
