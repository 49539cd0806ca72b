from __future__ import annotations

import numpy as np

from causes.rnn_gates import STATE, Lstm, fault

DROPPED = {n: np.zeros_like(a) if n.startswith("bias_hh") else a for n, a in STATE.items()}
FAULTS = (fault("rnn-bias", Lstm(state=DROPPED), says="leaves out the hidden bias"),)
