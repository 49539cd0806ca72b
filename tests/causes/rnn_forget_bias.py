from __future__ import annotations

from causes.rnn_gates import Lstm, fault

FAULTS = tuple(
    fault("rnn-forget-bias", Lstm(forget=n), fitted={"candidate forget bias": n})
    for n in (1.0, 0.35)
)
