"""Predictions without twins, metrics that near ties move, and crafted cases that mean nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from portalign.compare.curves import compare_curve
from portalign.compare.pairs import compare
from portalign.compare.scores import OWN_AUC, allowance, is_undefined, settle_near_ties
from portalign.mapping.layouts import AS_IS
from portalign.mapping.pair import Pair
from portalign.records import Array, Kind, TensorKey, TensorRecord
from portalign.results import Comparison, Outcome, Verdict

SCORES = np.random.default_rng(0).normal(size=(64, 3))
NOISE = np.random.default_rng(1).normal(size=(64, 3))


def _pair(key: TensorKey, reference: Array, candidate: Array) -> Pair:
    left, right = (
        TensorRecord(key, 0, array, array.dtype.name) for array in (reference, candidate)
    )
    return Pair(left, right, AS_IS, "same key", str(key))


def _prediction(index: int, *, off: float, exact: Array | None = None) -> Comparison:
    """Float32 scores off by a relative amount, each side by its half; `exact`: both their twins."""
    key = TensorKey(Kind.PREDICTION, "logits", iteration=index)
    sides = [(SCORES * (1 + sign * off / 2 * NOISE)).astype(np.float32) for sign in (-1, 1)]
    twins = None if exact is None else (exact, exact)
    return compare(sides[0], sides[1], key=key, twins=twins)


def _judged(off: float, before: list[Comparison]) -> Outcome:
    key = TensorKey(Kind.PREDICTION, "logits", iteration=2)
    left, right = ((SCORES * (1 + sign * off / 2 * NOISE)).astype(np.float32) for sign in (-1, 1))
    tolerance = allowance(_pair(key, left, right), before)
    return compare(left, right, key=key, tolerance=tolerance).outcome


@pytest.mark.parametrize(
    ("off", "outcome"),
    [(2e-4, Outcome.PASS), (2e-3, Outcome.FAIL)],
    ids=["as much as the twins explained", "ten times as much"],
)
def test_a_prediction_without_a_twin_is_held_to_the_rounding_of_those_with_one(
    off: float, outcome: Outcome
) -> None:
    before = [_prediction(i, off=2e-4, exact=SCORES) for i in range(2)]
    assert [found.verdict for found in before] == [Verdict.ROUNDING] * 2

    assert _judged(off, before) is outcome
    assert _judged(off, []) is Outcome.FAIL  # far above the tolerance of float32


def test_only_what_twins_let_pass_widens_the_allowance() -> None:
    wrong = compare(
        SCORES.astype(np.float32),
        (SCORES * 1.01).astype(np.float32),
        key=TensorKey(Kind.PREDICTION, "logits"),
        twins=(SCORES, SCORES * 1.01),
    )
    assert wrong.outcome is Outcome.FAIL

    assert _judged(2e-4, [wrong, _prediction(1, off=1e-6)]) is Outcome.FAIL


def _curve(kind: str, reference: float, candidate: float, *, name: str = "accuracy") -> Comparison:
    return compare_curve(
        np.asarray(reference),
        np.asarray(candidate),
        key=TensorKey(Kind.METRIC, name, kind),
        label=f"metric {name}.{kind}",
        how_paired="same key",
    )


def _step(*metrics: Comparison, off: float = 1e-6) -> dict[str, Comparison]:
    settled = settle_near_ties((_prediction(0, off=off), *metrics))
    return {found.label: found for found in settled}


def test_a_metric_that_only_near_ties_move_is_undecided() -> None:
    found = _step(_curve("own", 0.75, 0.7505), _curve("shared", 0.75, 0.75))["metric accuracy.own"]

    assert (found.outcome, found.verdict) == (Outcome.INCONCLUSIVE, Verdict.UNDECIDED)
    assert "near ties" in found.reason


@pytest.mark.parametrize(
    ("name", "share", "outcome"),
    [
        ("auc", 0.5, Outcome.PASS),
        ("auc", 2.0, Outcome.INCONCLUSIVE),
        ("f1", 0.5, Outcome.INCONCLUSIVE),
    ],
)
def test_auc_may_move_a_little_with_its_own_predictions(
    name: str, share: float, outcome: Outcome
) -> None:
    own = _curve("own", 0.75, 0.75 + share * OWN_AUC, name=name)

    settled = _step(own, _curve("shared", 0.75, 0.75, name=name))

    assert settled[f"metric {name}.own"].outcome is outcome


@pytest.mark.parametrize(
    ("others", "off"),
    [
        ([_curve("shared", 0.75, 0.76)], 1e-6),
        ([_curve("shared", 0.75, 0.75), _curve("ties", 0.5, 0.6)], 1e-6),
        ([_curve("shared", 0.75, 0.75)], 1e-2),
        ([], 1e-6),
    ],
    ids=["shared differs", "a crafted case differs", "predictions differ", "nothing shared"],
)
def test_a_metric_that_differs_otherwise_fails(others: list[Comparison], off: float) -> None:
    settled = _step(_curve("own", 0.75, 0.7505), *others, off=off)

    assert settled["metric accuracy.own"].outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("case", "values", "expected"),
    [
        ("absent_class", (math.nan, math.nan), True),
        ("absent_class", (math.nan, 0.0), False),
        ("absent_class", (0.5, math.nan), False),
        ("own", (math.nan, math.nan), False),
        ("shared", (math.nan, math.nan), False),
    ],
)
def test_only_a_crafted_case_that_is_nan_on_both_sides_is_left_out(
    case: str, values: tuple[float, float], expected: bool
) -> None:
    sides = [np.asarray(value) for value in values]

    assert is_undefined(_pair(TensorKey(Kind.METRIC, "auc", case), *sides)) is expected
