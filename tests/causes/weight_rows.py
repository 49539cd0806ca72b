from __future__ import annotations

import numpy as np

from causes.logits_cap import EARLIER, head
from causes.places import Numbers, Seeded, glue, module, random
from causes.weight_transposed import linear

X, WEIGHT, BIAS = random(7, 6), random(16, 6, seed=1), random(16, seed=2)
STATE = {"weight": WEIGHT, "bias": BIAS}
HALVES = np.arange(16).reshape(2, 2, 4).swapaxes(1, 2).ravel()  # 0 4 1 5 .. in heads of 8
CLEAN = module(linear(X, WEIGHT, BIAS), (WEIGHT @ X.T).T + BIAS, inputs={"in.0": X}, state=STATE)
TABLE = random(11, 8)
IDS = np.array([[3, 1, 0, 4], [2, 0, 5, 6]])
LOOKED_UP = module(
    TABLE[IDS], np.eye(11)[IDS] @ TABLE, inputs={"in.0": IDS}, state={"weight": TABLE}
)
HEAD = {"embed.weight": random(11, 8, seed=1)}


def rows(order: Numbers, says: str, *, bias: Numbers = BIAS) -> Seeded:
    wrong = linear(X, WEIGHT[order], bias)
    site = module(linear(X, WEIGHT, BIAS), wrong, inputs={"in.0": X}, state=STATE)
    return Seeded("weight-rows", site, CLEAN, says=says)


def looked_up(ids: Numbers, says: str) -> Seeded:
    site = module(TABLE[IDS], TABLE[ids], inputs={"in.0": IDS}, state={"weight": TABLE})
    return Seeded("weight-rows", site, LOOKED_UP, says=says)


def shifted(logits: Numbers) -> Numbers:
    """One token was put in front of the others: its row is zeros, and the last one is lost."""
    return np.concatenate([0 * logits[..., :1], logits[..., :-1]], axis=-1)


FAULTS = (
    rows(np.roll(np.arange(16), 8), "in blocks of 8 in the order 1 0"),
    rows(HALVES, "with the halves of each 8 as neighbours", bias=BIAS[HALVES]),
    looked_up(IDS + 1, "looks up the row at +1"),
    looked_up(np.arange(11)[::-1][IDS], "of 7 ids that occur the candidate looks up another row"),
    Seeded(
        "weight-rows",
        glue(
            head(EARLIER["norm out.0"], 30.0),
            shifted(head(EARLIER["norm out.0"], 30.0)),
            earlier=EARLIER,
            state={"embed.weight": 3 * HEAD["embed.weight"]},
        ),
        CLEAN,
        says="stand shifted by -1",
    ),
)
