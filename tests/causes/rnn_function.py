from __future__ import annotations

from causes.rnn_gates import Lstm, fault

FAULTS = (
    fault("rnn-function", Lstm(is_hard=True), says="hard sigmoid (x / 6 + 1 / 2)"),
    fault("rnn-function", Lstm(is_bare=True), says="without tanh"),
)
