from __future__ import annotations

from causes.attention_scale import Core, fault

FAULTS = (
    fault("attention-cap", Core(), Core(cap=20.0), fitted={"reference cap": 20.0}, says="is none"),
    fault("attention-cap", Core(cap=2.75), fitted={"candidate cap": 2.75}, says="reference none"),
)
