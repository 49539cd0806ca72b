"""What an initial tensor that differs is of the reference's."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from portalign.diagnose.state import related

RATES = (1.0 / 10000.0 ** (np.arange(0, 16, 2) / 16)).astype(np.float32)
SQUARE = np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32)


def rounded(values: np.ndarray, dtype: type) -> np.ndarray:
    return values.astype(dtype).astype(np.float32)


@pytest.mark.parametrize(
    ("candidate", "rule", "said"),
    [
        (rounded(RATES, ml_dtypes.bfloat16), "state-rounded", "rounded through bfloat16"),
        (RATES.astype(ml_dtypes.bfloat16), "state-rounded", "rounded through bfloat16"),
        (rounded(RATES, np.float16), "state-rounded", "rounded through float16"),
        (np.zeros_like(RATES), "state-initial", "all zeros"),
        (RATES * np.float32(1.25), "state-scaled", "multiplied by 1.25"),
        (RATES + np.float32(0.5), "state-shifted", "plus 0.5"),
        (RATES[::-1], "state-permuted", "its 8 numbers stand in reverse order"),
    ],
    ids=["bfloat16", "kept in bfloat16", "float16", "zeros", "scaled", "shifted", "reversed"],
)
def test_a_relation_is_named(candidate: np.ndarray, rule: str, said: str) -> None:
    found = related(RATES, candidate)

    assert found is not None
    assert found.rule == rule
    assert said in found.text


def test_rates_of_another_rotary_base_are_named_with_both_bases() -> None:
    other = (1.0 / 500000.0 ** (np.arange(0, 16, 2) / 16)).astype(np.float32)

    found = related(RATES, other)

    assert found is not None
    assert found.rule == "state-base"
    assert dict(found.fitted) == {"reference base": 10000.0, "candidate base": 500000.0}
    assert "500000, in the reference 10000" in found.text


def _llama3(rates: np.ndarray, *, factor: float, low: float, high: float, n: int) -> np.ndarray:
    """As in Llama 3.1: by wavelength, against a context of `n` places."""
    lengths = 2 * np.pi / rates
    smooth = (n / lengths - low) / (high - low)
    middle = (1 - smooth) * rates / factor + smooth * rates
    slow = np.where(lengths > n / low, rates / factor, rates)
    return np.where((lengths <= n / low) & (lengths >= n / high), middle, slow)


def test_rotary_frequencies_scaled_by_parts_are_named_with_the_factor() -> None:
    rates = 500000.0 ** (-np.arange(0, 64, 2) / 64)
    scaled = _llama3(rates, factor=8.0, low=1.0, high=4.0, n=8192)

    found = related(rates.astype(np.float32), scaled.astype(np.float32))
    back = related(scaled.astype(np.float32), rates.astype(np.float32))

    assert found is not None
    assert found.rule == "state-scaling"
    assert "frequencies as they are, the last" in found.text
    assert dict(found.fitted)["factor"] == pytest.approx(8.0, rel=1e-6)
    assert back is not None
    assert "what they were before it scaled them by parts" in back.text
    assert related(rates, rates * np.linspace(1.0, 0.5, 32)) is None


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (np.roll(np.arange(16), 8), "its 16 rows stand in blocks of 8 in the order 1 0"),
        (np.arange(16).reshape(2, 2, 4).swapaxes(1, 2).ravel(), "halves of each 8 as neighbours"),
        (np.roll(np.arange(16), 1), "stand shifted by -1"),
    ],
    ids=["heads", "rotary", "vocabulary"],
)
def test_rows_in_another_order_are_named_with_the_order(order: np.ndarray, said: str) -> None:
    matrix = np.random.default_rng(0).normal(size=(16, 6)).astype(np.float32)

    found = related(matrix, matrix[order])

    assert found is not None
    assert found.rule == "state-permuted"
    assert said in found.text
    assert related(matrix, matrix[order] * np.float32(1.5)) is None


def test_a_reference_that_is_the_rounded_one_is_told_apart() -> None:
    found = related(rounded(RATES, ml_dtypes.bfloat16), RATES)

    assert found is not None
    assert "before the reference rounded them through bfloat16" in found.text


def test_a_transposed_square_and_a_siblings_values_are_named() -> None:
    transposed = related(SQUARE, np.ascontiguousarray(SQUARE.T))
    swapped = related(SQUARE, SQUARE * 2 + 1, others={"key.weight": SQUARE * 2 + 1})

    assert transposed is not None
    assert transposed.rule == "state-transposed"
    assert swapped is not None
    assert "key.weight" in swapped.text


@pytest.mark.parametrize(
    "candidate",
    [RATES, np.cos(RATES), np.full_like(RATES, np.nan), RATES[:4], RATES * 1.1 + 0.1],
    ids=["equal", "cosine", "nan", "another shape", "scaled and shifted"],
)
def test_nothing_is_claimed_of_anything_else(candidate: np.ndarray) -> None:
    assert related(RATES, candidate) is None
