from __future__ import annotations

from causes.attention_scale import Core, fault

FAULTS = (
    fault("attention-softmax", Core(mask=0.0, axis=-2), Core(mask=0.0), says="over the queries"),
)
