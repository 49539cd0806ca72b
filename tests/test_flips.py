"""A unit on the other side of its threshold is no loss of precision, and a loss stays one."""

from __future__ import annotations

import pytest

from portalign.compare.flips import settle_flips
from portalign.records import Kind, TensorKey
from portalign.results import Comparison, Outcome, Verdict
from sample_reports import comparison, measurement


def _one(
    name: str,
    iteration: int,
    *,
    lost: float,
    kind: Kind = Kind.GRADIENT,
    verdict: Verdict = Verdict.PRECISION,
    side: str = "candidate",
) -> Comparison:
    """A tensor of norm 1 of which a side loses so much, the other one 1e-6."""
    key = TensorKey(kind, name, "weight", iteration=iteration)
    owns = {"own_reference": 1e-6, "own_candidate": 1e-6, f"own_{side}": lost}
    return comparison(f"{key}", verdict, key=key, native=measurement(norm_reference=1.0), **owns)


BEFORE = _one("early", 4, lost=2e-2)
BEHIND = _one("late", 4, lost=3e-5, verdict=Verdict.ROUNDING)


def _verdicts(*given: Comparison, n_faithful: int = 9) -> list[str]:
    return [one.verdict.value for one in settle_flips(given, n_faithful=n_faithful)]


def test_gradients_that_lose_beside_others_that_do_not_are_rounding() -> None:
    (settled, other) = settle_flips([BEFORE, BEHIND], n_faithful=9)

    assert (settled.verdict, settled.outcome) == (Verdict.ROUNDING, Outcome.PASS)
    assert settled.reason.startswith("Rounding put one unit of the candidate on the other side")
    assert settled.reason.endswith(BEFORE.reason)
    assert other is BEHIND


def test_what_the_same_side_loses_afterwards_follows() -> None:
    after = [
        _one("early", 5, lost=1e-2, kind=Kind.PARAMETER),
        _one("late", 5, lost=1e-2),
        _one("late", 6, lost=1e-2),
    ]

    assert _verdicts(BEFORE, BEHIND, *after) == ["rounding"] * 5


@pytest.mark.parametrize(
    ("given", "n_faithful"),
    [
        ([BEFORE, _one("late", 4, lost=1e-2)], 9),
        ([BEFORE, _one("late", 4, lost=1e-3, verdict=Verdict.ROUNDING)], 9),
        ([BEFORE], 9),
        ([BEFORE, BEHIND], 4),
        ([_one("early", 0, lost=2e-2), _one("late", 0, lost=1e-6, verdict=Verdict.ROUNDING)], 9),
        ([BEFORE, BEHIND, _one("other", 4, lost=2e-2, side="reference")], 9),
    ],
    ids=["all lose", "hardly less", "alone", "unfaithful", "first iteration", "both sides"],
)
def test_a_loss_of_precision_stays_one(given: list[Comparison], n_faithful: int) -> None:
    assert "rounding" not in _verdicts(given[0], *given[2:], n_faithful=n_faithful)
    assert settle_flips(given, n_faithful=n_faithful)[0] is given[0]


def test_what_was_lost_before_and_by_the_other_side_stays() -> None:
    before = _one("early", 4, lost=1e-2, kind=Kind.PARAMETER)  # made by iteration 3
    others = [before, _one("late", 7, lost=1e-2, side="reference")]

    assert _verdicts(BEFORE, BEHIND, *others)[2:] == ["precision", "precision"]


def test_what_differs_in_float64_is_never_a_flip() -> None:
    divergent = _one("early", 4, lost=2e-2, verdict=Verdict.DIVERGENT)

    assert _verdicts(divergent, BEHIND, BEFORE) == ["divergent", "rounding", "rounding"]
