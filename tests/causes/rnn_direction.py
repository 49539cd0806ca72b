from __future__ import annotations

from causes.rnn_gates import Lstm, fault

FAULTS = (
    fault("rnn-direction", Lstm(ends=("_reverse", "")), says="exchanged"),
    fault("rnn-direction", Lstm(is_forward_only=True), says="both directions run forward"),
)
