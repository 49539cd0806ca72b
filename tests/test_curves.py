"""Learning rates and metrics are judged point by point, each relative to its own size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from portalign.compare.curves import OF_PEAK, RELATIVE, compare_curve
from portalign.records import Kind, TensorKey
from portalign.results import Basis, Comparison, Outcome, Verdict

KEY = TensorKey(Kind.LR, "lr")
# A warm-up to 1e-3 and a decay whose tail is a millionth of the peak.
CURVE = np.concatenate([np.linspace(1e-5, 1e-3, 10), np.geomspace(1e-3, 1e-9, 40)])


def _compared(reference: Any, candidate: Any) -> Comparison:
    return compare_curve(
        np.asarray(reference), np.asarray(candidate), key=KEY, label="lr lr", how_paired="same key"
    )


def _changed(at: int, value: float) -> Any:
    changed = CURVE.copy()
    changed[at] = value
    return changed


def test_equal_curves_are_identical() -> None:
    found = _compared(CURVE, CURVE.copy())

    assert (found.outcome, found.verdict, found.basis) == (
        Outcome.PASS,
        Verdict.IDENTICAL,
        Basis.BITS,
    )
    assert found.used == 0.0


def test_a_last_digit_is_close() -> None:
    found = _compared(CURVE, np.nextafter(CURVE, 1.0))

    assert (found.outcome, found.verdict) == (Outcome.PASS, Verdict.CLOSE)
    assert 0.0 < found.used < 1e-6  # 2.2e-16 of 1e-9
    assert "Every point agrees within 1e-09 of its value." in found.reason


@pytest.mark.parametrize(
    ("at", "value", "told"),
    [
        (0, 1.1e-5, "1 of 50 differ, first at point 0, 1e-05 against 1.1e-05"),
        (49, 2e-9, "first at point 49, 1e-09 against 2e-09"),
        (49, 1e-9 * (1 + 1e-5), "the largest relative difference is 1e-05"),
        (20, math.nan, "first at point 20"),
        (20, math.inf, "first at point 20"),
        (20, 0.0, "the largest relative difference is 1."),
    ],
    ids=["start", "tail", "tail by a hundred-thousandth", "NaN", "infinity", "zero"],
)
def test_one_wrong_point_fails_and_is_named(at: int, value: float, told: str) -> None:
    found = _compared(CURVE, _changed(at, value))

    assert (found.outcome, found.verdict) == (Outcome.FAIL, Verdict.DIVERGENT)
    assert found.used > 1.0
    assert told in found.reason


def test_a_norm_would_have_passed_the_wrong_tail() -> None:
    """The twin of the test above: over the whole curve the tail is below 1e-6."""
    candidate = _changed(49, 2e-9)

    assert np.linalg.norm(candidate - CURVE) / np.linalg.norm(CURVE) < 1e-6


def test_noise_of_the_recurrence_at_the_end_of_a_decay_passes() -> None:
    """A cosine ends at exactly 0 in closed form and at 1e-20 by recurrence."""
    ended = _changed(49, 0.0)

    assert _compared(ended, _changed(49, OF_PEAK * 1e-3 / 2)).outcome is Outcome.PASS
    assert _compared(ended, _changed(49, OF_PEAK * 1e-3 * 2)).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("factor", "outcome"), [(0.5, Outcome.PASS), (2.0, Outcome.FAIL)], ids=["inside", "outside"]
)
def test_the_allowance_is_a_share_of_each_point(factor: float, outcome: Outcome) -> None:
    found = _compared(CURVE, CURVE * (1 + factor * RELATIVE))

    assert found.outcome is outcome
    assert found.used == pytest.approx(factor, rel=0.01)  # OF_PEAK adds a thousandth


@pytest.mark.parametrize("value", [math.nan, 1e-3], ids=["NaN too", "a number"])
def test_nan_in_the_reference_is_undecided(value: float) -> None:
    found = _compared(_changed(3, math.nan), _changed(3, value))

    assert (found.outcome, found.verdict) == (Outcome.INCONCLUSIVE, Verdict.UNDECIDED)
    assert found.reason.startswith("The reference itself is NaN at 1 of 50 points")


def test_nan_in_the_reference_hides_no_other_point() -> None:
    candidate = _changed(20, 1.0)
    found = _compared(_changed(3, math.nan), candidate)

    assert found.outcome is Outcome.FAIL
    assert "1 of 50 differ, first at point 20" in found.reason


def test_a_reference_of_nothing_but_nan_is_undecided() -> None:
    assert _compared(math.nan, 0.5).outcome is Outcome.INCONCLUSIVE
    assert _compared(0.5, math.nan).outcome is Outcome.FAIL


def test_unequal_lengths_fail() -> None:
    found = _compared(CURVE, CURVE[:-1])

    assert found.outcome is Outcome.FAIL
    assert found.reason == "Lengths differ: (50,) against (49,)."


def test_a_column_is_not_broadcast_against_a_row() -> None:
    assert _compared(CURVE, CURVE[:, None]).outcome is Outcome.FAIL


def test_an_empty_curve_decides_nothing() -> None:
    found = _compared(np.empty(0), np.empty(0))

    assert (found.outcome, found.verdict) == (Outcome.INCONCLUSIVE, Verdict.UNDECIDED)


@pytest.mark.parametrize(
    ("reference", "candidate", "outcome"),
    [
        (0.84375, 0.84375, Outcome.PASS),
        (0.84375, 0.8437500001, Outcome.PASS),
        (0.84375, 0.8125, Outcome.FAIL),
        (0.0, 1e-12, Outcome.FAIL),
    ],
    ids=["equal", "a tenth of the allowance", "one sample", "nothing against little"],
)
def test_single_numbers_are_curves_of_one_point(
    reference: float, candidate: float, outcome: Outcome
) -> None:
    found = _compared(reference, candidate)

    assert found.outcome is outcome
    assert "at point" not in found.reason
