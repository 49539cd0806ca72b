"""Pairs whose float64 twin is missing: noted by side, and only where twins were captured."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from portalign.compare.behind import without_twin
from portalign.mapping.pair import pair
from portalign.mapping.weights import WeightPlan
from portalign.records import Kind, Precision, TensorKey, TensorRecord, Trace

NATIVE = [
    TensorKey(Kind.INPUT, "x"),
    TensorKey(Kind.OUTPUT, "logits"),
    TensorKey(Kind.LOSS, "loss"),
    TensorKey(Kind.LR, "lr"),
]
BOTH = {"logits", "loss"}


def _trace(folder: str, lifted: Iterable[str]) -> Trace:
    twins = [
        TensorKey(key.kind, key.path, precision=Precision.FLOAT64)
        for key in NATIVE
        if key.path in lifted
    ]
    records = (
        TensorRecord(key, order, np.ones(3), "float64")
        for order, key in enumerate([*NATIVE, *twins])
    )
    return Trace(folder, None, tuple(records), True)


@pytest.mark.parametrize(
    ("reference", "candidate", "notes"),
    [
        (BOTH, BOTH, ()),
        (set(), set(), ()),
        (
            BOTH,
            {"loss"},
            (
                "1 tensor without a counterpart in the candidate's twin, so a tolerance judged: "
                "output logits",
            ),
        ),
        (
            set(),
            BOTH,
            (
                "2 tensors without a counterpart in the reference's twin, so a tolerance judged: "
                "output logits, loss loss",
            ),
        ),
    ],
    ids=["whole", "no twins asked for", "one missing", "a side without"],
)
def test_a_pair_that_lacks_a_twin_is_noted_by_side(
    reference: set[str], candidate: set[str], notes: tuple[str, ...]
) -> None:
    sides = _trace("reference", reference), _trace("candidate", candidate)

    assert without_twin(pair(*sides, WeightPlan(())), sides) == notes
