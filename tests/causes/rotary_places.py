from __future__ import annotations

from causes.attention_scale import Core, fault
from causes.rotary_style import HALVES

FAULTS = (fault("rotary-places", Core(rotary="halves", late=1), HALVES, says="by the position +1"),)
