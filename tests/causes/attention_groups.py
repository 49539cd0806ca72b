from __future__ import annotations

from causes.attention_scale import Core, fault

FAULTS = (fault("attention-groups", Core(groups=(0, 1, 0, 1)), says="the candidate tiles"),)
