"""`norm` and `distance` against plain numpy and against `measure`, which they stand in for."""

from __future__ import annotations

import math
import tracemalloc

import ml_dtypes
import numpy as np
import pytest

from portalign.compare.measure import measure
from portalign.compare.norms import distance, norm


def _values(dtype: object, shape: tuple[int, ...] = (500, 700)) -> np.ndarray:
    values = np.random.default_rng(0).standard_normal(shape) * 9
    return values.astype(dtype)


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", ml_dtypes.bfloat16, "int8", "complex64", ">f4"]
)
def test_norm_is_numpy_s(dtype) -> None:
    with np.errstate(all="ignore"):
        values = _values(dtype if dtype != "complex64" else "float32").astype(dtype)
    wide = values.astype(np.complex128 if dtype == "complex64" else np.float64)

    # float64 sums in another order
    assert norm(values) == pytest.approx(float(np.linalg.norm(wide)), rel=1e-13)
    assert norm(values.T[::2]) == pytest.approx(float(np.linalg.norm(wide.T[::2])), rel=1e-13)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], 0.0), ([0.0], 0.0), ([1.0, math.inf], math.inf), ([3e38, 4e38], 5e38)],
    ids=["empty", "zero", "infinite", "large"],
)
def test_norm_of_special_values(values, expected) -> None:
    assert norm(np.array(values)) == pytest.approx(expected)


def test_norm_of_nan_is_nan() -> None:
    assert math.isnan(norm(np.array([1.0, math.nan])))


@pytest.mark.parametrize("reference", ["float32", "float16", ml_dtypes.bfloat16, "float64"])
def test_distance_to_a_twin_is_what_measure_finds(reference) -> None:
    twin = _values("float64")
    side = twin.astype(reference)

    expected = np.linalg.norm(side.astype(np.float64) - twin)

    assert distance(side, twin) == pytest.approx(float(expected), rel=1e-13)
    assert distance(side, twin) == pytest.approx(measure(side, twin).norm_difference, rel=1e-13)
    assert distance(side, side.copy()) == 0.0


@pytest.mark.parametrize("size", [1e-200, 1e200], ids=["tiny", "huge"])
def test_distance_survives_squares_beyond_the_range(size) -> None:
    assert distance(np.full(4, size), np.zeros(4)) == pytest.approx(2 * size, rel=1e-12)


INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("reference", "candidate", "expected"),
    [
        ([1.0, INF], [1.5, INF], 0.5),
        ([1.0, INF], [1.0, -INF], NAN),
        ([1.0, NAN], [1.0, NAN], NAN),
        ([1.0], [1.0, 1.0], NAN),
        ([], [], NAN),
        ([1, 5], [1, 3], 2.0),
        ([3 + 4j], [0j], 5.0),
    ],
    ids=["equal inf", "other inf", "nan", "shapes", "empty", "integers", "complex"],
)
def test_distance_of_special_values(reference, candidate, expected) -> None:
    found = distance(np.array(reference), np.array(candidate))

    assert found == expected or (math.isnan(found) and math.isnan(expected))


def test_neither_copies_a_whole_tensor() -> None:
    side, twin = np.ones(4_000_000, np.float32), np.ones(4_000_000)
    tracemalloc.start()

    norm(side)
    distance(side, twin)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000  # a float64 copy alone has 32 MB; a few pieces of 1 MB are allowed
