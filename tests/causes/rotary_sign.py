from __future__ import annotations

from causes.attention_scale import Core, fault
from causes.rotary_style import HALVES

FAULTS = (fault("rotary-sign", Core(rotary="halves", sign=-1.0), HALVES, says="other direction"),)
