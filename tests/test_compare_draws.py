"""What two sides drew is judged by its terms and shape, and said in words of dropout."""

from __future__ import annotations

import numpy as np
import pytest

from portalign.compare.draws import as_draw
from portalign.compare.drift import kernel_tolerance
from portalign.compare.locate import locate
from portalign.compare.pairs import compare
from portalign.records import Kind, TensorKey
from portalign.results import Comparison, Outcome


def _compared(slot: str, reference: list[float], candidate: list[float]) -> Comparison:
    key = TensorKey(Kind.DRAW, "drop", slot)
    left, right = np.array(reference), np.array(candidate)
    return as_draw(compare(left, right, key=key, tolerance=kernel_tolerance(key)), left, right)


@pytest.mark.parametrize("candidate", [0.9, float(np.float32(0.9))])
def test_equal_terms_and_shapes_pass_also_where_a_rate_is_kept_in_float32(candidate: float) -> None:
    assert _compared("keep", [0.9, 4, 8], [candidate, 4, 8]).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("slot", "reference", "candidate", "text"),
    [
        (
            "keep",
            [0.9, 4, 8],
            [0.8, 4, 8],
            "keeps an element with probability 0.9 in shape [4, 8], the candidate keeps an element "
            "with probability 0.8 in shape [4, 8]",
        ),
        ("keep", [0.9, 4, 8], [0.9, 4, 1], "in shape [4, 8], the candidate"),
        ("keep", [0.9, 4, 8], [0.9, 32], "in shape [32]"),
        ("uniform", [0, 1, 4], [-1, 1, 4], "draws from 0 to 1 in shape [4], the candidate draws"),
        ("normal", [0, 1, 4], [0, 2, 4], "with mean 0 and deviation 2 in shape [4]"),
    ],
)
def test_another_rate_or_shape_fails_and_says_what_both_draw(
    slot: str, reference: list[float], candidate: list[float], text: str
) -> None:
    found = _compared(slot, reference, candidate)

    assert found.outcome is Outcome.FAIL
    assert text in found.reason


def test_a_draw_that_differs_is_an_origin_by_itself() -> None:
    found = _compared("keep", [0.9, 4], [0.8, 4])

    assert locate([found]).origins == (found.label,)
