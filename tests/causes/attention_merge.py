from __future__ import annotations

from causes.attention_scale import Core, fault

FAULTS = (fault("attention-merge", Core(is_merged=False), says="heads before positions"),)
