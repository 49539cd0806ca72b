from __future__ import annotations

import numpy as np

from causes.places import Numbers, Seeded, module, random
from causes.rnn_gates import HIDDEN, X, sigmoid

STATE = {
    "weight_ih_l0": random(3 * HIDDEN, 6) / 2,
    "weight_hh_l0": random(3 * HIDDEN, HIDDEN, seed=1) / 2,
    "bias_ih_l0": random(3 * HIDDEN, seed=2),
    "bias_hh_l0": random(3 * HIDDEN, seed=3),
}
START = random(1, 3, HIDDEN, seed=4)


def gru(*, is_early: bool = False, is_inverted: bool = False) -> Numbers:
    h, shown = START[0], []
    wr, wz, wn = np.split(STATE["weight_hh_l0"], 3)
    br, bz, bn = np.split(STATE["bias_hh_l0"], 3)
    for now in range(X.shape[1]):
        given = X[:, now] @ STATE["weight_ih_l0"].T + STATE["bias_ih_l0"]
        xr, xz, xn = np.split(given, 3, axis=-1)
        r, z = sigmoid(xr + h @ wr.T + br), sigmoid(xz + h @ wz.T + bz)
        behind = (r * h) @ wn.T + bn if is_early else r * (h @ wn.T + bn)
        z = 1 - z if is_inverted else z
        h = (1 - z) * np.tanh(xn + behind) + z * h
        shown.append(h)
    return np.stack(shown, axis=1)


INPUTS = {"in.0": X, "in.1": START}
CLEAN = module(gru(), gru() + 1e-17, inputs=INPUTS, state=STATE)
FAULTS = (
    Seeded(
        "gru-variant",
        module(gru(), gru(is_early=True), inputs=INPUTS, state=STATE),
        CLEAN,
        says="the reset gate before the multiplication",
    ),
    Seeded(
        "gru-variant",
        module(gru(), gru(is_inverted=True), inputs=INPUTS, state=STATE),
        CLEAN,
        says="the update gate the other way round",
    ),
)
