from __future__ import annotations

import numpy as np

from causes.places import Numbers, Seeded, gradient, random
from portalign.diagnose.through_time import Run, gradients

BATCH, TIME, WIDTH, HIDDEN = 2, 5, 3, 4
X, GIVEN = random(BATCH, TIME, WIDTH), random(BATCH, TIME, HIDDEN, seed=1)
START = np.zeros((BATCH, HIDDEN))


def _weights(n_gates: int) -> dict[str, Numbers]:
    rows = n_gates * HIDDEN
    return {
        "weight_ih": random(rows, WIDTH, seed=2),
        "weight_hh": random(rows, HIDDEN, seed=3),
        "bias_ih": random(rows, seed=4),
    }


def _fault(n_gates: int, slot: str, *, is_cell_cut: bool = False, says: str = "") -> Seeded:
    weights = _weights(n_gates)
    run = Run(X, START, START, GIVEN, START, START, weights)
    whole = gradients(run)[slot]
    part = gradients(run, is_cut=True, is_cell_cut=is_cell_cut)[slot]
    state = {f"{name}_l0": values for name, values in weights.items()}
    sources = {"grad fc out.0": GIVEN, "fc in.0": X}
    faulty, clean = (
        gradient(whole, made, slot=f"{slot}_l0", sources=sources, state=state)
        for made in (part, whole)
    )
    return Seeded("gradient-truncated", faulty, clean, says=says)


FAULTS = (
    _fault(4, "weight_ih", says="to the hidden state of the step before"),
    _fault(4, "bias_ih", is_cell_cut=True, says="the hidden state and the cell"),
    _fault(3, "weight_hh", says="in the candidate"),
)
