from __future__ import annotations

from causes.attention_scale import Core, fault

FAULTS = (fault("attention-operands", Core(order=(0, 2, 1)), says="query, value, key"),)
