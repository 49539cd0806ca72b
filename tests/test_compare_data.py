"""Data is held to the byte, and a metric of wrong data is not the first place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from portalign.compare.locate import locate
from portalign.compare.pairs import as_data, compare
from portalign.records import Kind, TensorKey
from portalign.results import Basis, Comparison, Outcome, Verdict

IMAGE = np.linspace(0.1, 1.0, 12, dtype="f4")


def _compared(
    reference: Any, candidate: Any, *, kind: Kind = Kind.INPUT, path: str = "x", **key: Any
) -> Comparison:
    full = TensorKey(kind, path, **key)
    return compare(np.asarray(reference), np.asarray(candidate), key=full, label=str(full))


@pytest.mark.parametrize(
    ("reference", "candidate", "told"),
    [
        (np.arange(4), np.arange(4, dtype="i4"), "the dtypes are int64 against int32"),
        (IMAGE, np.nextafter(IMAGE, np.float32(2)), "12 of 12 elements are other bytes"),
        (np.zeros(2), -np.zeros(2), "elements are other bytes"),
    ],
    ids=["dtype", "last digit", "sign of zero"],
)
def test_data_that_is_only_close_fails(reference: Any, candidate: Any, told: str) -> None:
    close = _compared(reference, candidate)

    found = as_data(close)

    assert close.outcome is Outcome.PASS
    assert (found.outcome, found.verdict, found.basis) == (
        Outcome.FAIL,
        Verdict.DIVERGENT,
        Basis.BITS,
    )
    assert told in found.reason


def test_equal_data_and_undecided_data_stay_what_they_are() -> None:
    for found in (_compared(IMAGE, IMAGE.copy()), _compared([], []), _compared([1], [2])):
        assert as_data(found) is found


def test_a_metric_of_own_predictions_inherits_from_any_wrong_batch() -> None:
    label = _compared([0, 1], [1, 1], path="labels", iteration=3)
    own = _compared(0.9, 0.8, kind=Kind.METRIC, path="accuracy", slot="own")

    found = locate([own, label])

    assert found.origins == (label.label,)
    assert found.inherited == (own.label,)
    assert found.first == label.label


def test_a_metric_of_given_predictions_is_an_origin_beside_wrong_data() -> None:
    label = _compared([0, 1], [1, 1], path="labels", iteration=3)
    shared = _compared(0.9, 0.8, kind=Kind.METRIC, path="accuracy", slot="shared")

    assert locate([shared, label]).origins == (label.label, shared.label)
