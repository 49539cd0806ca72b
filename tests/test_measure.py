"""`measure` against plain numpy in float64: dtypes, layouts, chunk sizes and special values."""

from __future__ import annotations

import math
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from portalign.compare.chunks import release
from portalign.compare.measure import measure
from portalign.errors import InputError


def _pair(dtype: object, shape: tuple[int, ...] = (300, 70), noise: float = 1e-2, seed: int = 0):
    rng = np.random.default_rng(seed)
    reference = rng.standard_normal(shape)
    candidate = reference + noise * rng.standard_normal(shape)
    return reference.astype(dtype), candidate.astype(dtype)


def _ordered(array: np.ndarray) -> np.ndarray:
    """Floats as Python integers in their order, -0 and 0 alike: the ULP oracle."""
    bits = array.view({2: np.int16, 4: np.int32, 8: np.int64}[array.itemsize])
    least = int(np.iinfo(bits.dtype).min)
    flat = [int(bit) if bit >= 0 else least - int(bit) for bit in bits.reshape(-1)]
    return np.array(flat, dtype=object)


@pytest.mark.parametrize("noise", [0.0, 1e-2, 3.0], ids=["equal", "near", "unrelated"])
@pytest.mark.parametrize("chunk_bytes", [2**8, 5000, 2**20])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", ml_dtypes.bfloat16])
def test_every_number_of_a_float_pair_matches_plain_numpy(dtype, chunk_bytes, noise) -> None:
    reference, candidate = _pair(dtype, noise=noise)

    found = measure(reference, candidate, chunk_bytes=chunk_bytes)

    a, b = reference.astype(np.float64), candidate.astype(np.float64)
    d = np.abs(a - b)
    # 1e-6: up to 512 products of float32 are summed in float32, 8e-8 measured at most.
    close = {"rel": 1e-13 if reference.dtype == np.float64 else 1e-6}
    assert found.max_abs == d.max()
    assert d[found.worst_index] == d.max()
    assert found.worst_reference == a[found.worst_index]
    assert found.worst_candidate == b[found.worst_index]
    assert found.mean_abs == pytest.approx(d.mean(), **close)
    assert found.norm_difference == pytest.approx(np.linalg.norm(d), **close)
    assert found.norm_reference == pytest.approx(np.linalg.norm(a), **close)
    assert found.norm_candidate == pytest.approx(np.linalg.norm(b), **close)
    assert found.rel_frobenius == pytest.approx(np.linalg.norm(d) / np.linalg.norm(a), **close)
    cosine = (a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)
    assert found.cosine == pytest.approx(cosine, rel=1e-6)
    assert found.n_mismatched == (a != b).sum()
    assert found.n_sign_flips == (a * b < 0).sum()
    assert found.max_ulp == float(np.abs(_ordered(reference) - _ordered(candidate)).max())
    assert found.is_bitwise_equal is (noise == 0)
    assert found.n_elements == found.n_compared == a.size
    assert (found.dtype_reference, found.shape_reference) == (reference.dtype.name, a.shape)


def test_float32_sums_stay_exact_over_many_elements() -> None:
    reference, candidate = _pair("float32", (3_000_000,), 1e-6)

    found = measure(reference, candidate)

    d = np.abs(reference.astype(np.float64) - candidate)
    # Differences of near float32 values are exact; rows of 512 leave about 1e-9.
    assert found.norm_difference == pytest.approx(np.linalg.norm(d), rel=1e-7)
    assert found.mean_abs == pytest.approx(d.mean(), rel=1e-7)


@pytest.mark.parametrize("relative", [1e-7, 2.5e-7, 1e-6, 1e-4], ids=str)
@pytest.mark.parametrize("values", ["normal", "constant"])
def test_norms_of_close_sides_keep_their_accuracy(values, relative) -> None:
    rng = np.random.default_rng(0)
    reference = np.full(300_000, 1.1, np.float32)
    if values == "normal":
        reference = rng.standard_normal(300_000).astype(np.float32)
    candidate = (reference * (1 + relative)).astype(np.float32)  # all errors along the reference

    found = measure(reference, candidate)

    a, b = reference.astype(np.float64), candidate.astype(np.float64)
    # 1e-6 is what the docstring promises of sums in float32
    assert found.norm_reference == pytest.approx(np.linalg.norm(a), rel=1e-6)
    assert found.norm_candidate == pytest.approx(np.linalg.norm(b), rel=1e-6)
    assert found.norm_difference == pytest.approx(np.linalg.norm(a - b), rel=1e-6)
    # the sides are parallel; an error of 1e-6 in a norm weighs as much as they differ
    assert found.cosine == pytest.approx(1.0, abs=1e-6 * relative)


def test_close_sides_with_opposite_zeros_and_one_flip_are_counted_all_the_same() -> None:
    reference = np.ones(5000, np.float32)
    reference[[7, 9, 11]] = 0.0, -1e-12, 3.0
    candidate = reference.copy()
    candidate[[7, 9, 11]] = -0.0, 1e-12, np.nextafter(np.float32(3), np.float32(4))

    found = measure(reference, candidate)

    assert (found.n_mismatched, found.n_sign_flips, found.worst_index) == (2, 1, (11,))
    assert not found.is_bitwise_equal


LAYOUTS = {
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "every second": lambda a: np.repeat(a, 2, axis=0)[::2],
    "reversed": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
    "big endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "unaligned": lambda a: (
        np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape)
    ),
    "contiguous": lambda a: a,
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("layouts", [(x, y) for x in LAYOUTS for y in LAYOUTS], ids="/".join)
def test_layout_in_memory_changes_no_number(layouts, dtype) -> None:
    reference, candidate = _pair(dtype, (130, 90), 2.0)
    expected = measure(reference, candidate)

    found = measure(
        LAYOUTS[layouts[0]](reference), LAYOUTS[layouts[1]](candidate), chunk_bytes=4000
    )

    assert found.worst_index == expected.worst_index
    assert (found.max_abs, found.max_ulp) == (expected.max_abs, expected.max_ulp)
    assert found.n_mismatched == expected.n_mismatched
    # other places of the row borders of float32 sums
    assert found.norm_difference == pytest.approx(expected.norm_difference, rel=1e-6)


def test_permuted_axes_of_four_dimensions_name_the_right_element() -> None:
    reference = np.zeros((2, 3, 50, 7), np.float32).transpose(2, 0, 3, 1)
    candidate = np.zeros((50, 2, 7, 3), np.float32)
    candidate[31, 1, 5, 2] = -4

    found = measure(reference, candidate, chunk_bytes=64)

    assert (found.worst_index, found.max_abs) == ((31, 1, 5, 2), 4.0)


def test_shapes_that_differ_are_never_broadcast() -> None:
    found = measure(np.zeros((90,)), np.zeros((90, 1)))

    assert found.n_compared == 0
    assert math.isnan(found.max_abs)
    assert math.isnan(found.norm_difference)
    assert not found.is_bitwise_equal


@pytest.mark.parametrize("shape", [(0,), (3, 0, 2)], ids=str)
def test_empty_arrays_have_no_elements_and_no_numbers(shape) -> None:
    found = measure(np.zeros(shape, np.float32), np.zeros(shape, np.float32))

    assert (found.n_elements, found.n_compared) == (0, 0)
    assert math.isnan(found.norm_difference)


def test_scalars_are_measured_at_the_empty_index() -> None:
    found = measure(np.float32(2.0).reshape(()), np.float32(2.5).reshape(()))

    assert (found.max_abs, found.worst_index, found.n_elements) == (0.5, (), 1)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", ml_dtypes.bfloat16])
def test_equal_infinities_match_and_every_other_nonfinite_value_does_not(dtype) -> None:
    inf, nan = math.inf, math.nan
    reference = np.array([1, inf, -inf, inf, nan, nan, 2, 1], dtype=dtype)
    candidate = np.array([1, inf, -inf, -inf, nan, 1, inf, 3], dtype=dtype)

    found = measure(reference, candidate)

    assert found.n_nonfinite_mismatched == 4
    assert found.n_mismatched == 5
    assert (found.n_nan_reference, found.n_nan_candidate) == (2, 1)
    assert (found.n_inf_reference, found.n_inf_candidate) == (3, 4)
    assert (found.n_compared, found.max_abs, found.worst_index) == (2, 2.0, (3,))
    assert found.norm_reference == math.sqrt(2)


def test_the_first_nonfinite_mismatch_is_the_worst_element_in_any_chunk() -> None:
    reference = np.ones(1000, np.float32)
    candidate = reference.copy()
    candidate[10], candidate[700], candidate[900] = 1e30, math.nan, math.inf

    found = measure(reference, candidate, chunk_bytes=400)

    assert found.worst_index == (700,)
    assert math.isnan(found.worst_candidate)
    assert (found.n_compared, found.n_nonfinite_mismatched) == (998, 2)


def test_infinities_everywhere_on_both_sides_are_equal_and_leave_zero_norms() -> None:
    mask = np.full((4, 4), -np.inf, np.float32)

    found = measure(mask, mask.copy())

    assert found.is_bitwise_equal
    assert (found.n_mismatched, found.norm_difference, found.n_compared) == (0, 0.0, 0)


def test_nan_with_the_same_bits_is_bitwise_equal_but_mismatched() -> None:
    array = np.array([1.0, math.nan], np.float32)

    found = measure(array, array.copy())

    assert found.is_bitwise_equal
    assert found.n_nonfinite_mismatched == 1


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", ml_dtypes.bfloat16])
def test_minus_zero_is_no_ulp_away_from_zero_but_other_bits(dtype) -> None:
    found = measure(np.array([0.0, 1.0], dtype), np.array([-0.0, 1.0], dtype))

    assert (found.max_ulp, found.n_mismatched, found.n_sign_flips) == (0.0, 0, 0)
    assert not found.is_bitwise_equal


def test_ulp_counts_across_zero_and_in_the_coarser_dtype() -> None:
    tiny = np.array([np.finfo(np.float32).smallest_subnormal])
    across = measure(tiny.astype(np.float32), -tiny.astype(np.float32))
    mixed = measure(np.array([1.0], np.float32), np.array([1.0078125], ml_dtypes.bfloat16))

    assert (across.max_ulp, across.n_sign_flips) == (2.0, 1)
    assert mixed.max_ulp == 1.0
    assert mixed.max_abs == 0.0078125


@pytest.mark.parametrize(
    ("dtype", "size"),
    [("float32", 3e38), ("float32", 1e-40), ("float64", 1e300), ("float64", 1e-200)],
)
def test_sizes_whose_squares_overflow_or_vanish_keep_their_norms(dtype, size) -> None:
    reference = np.full(100, size, dtype)

    found = measure(reference, -reference)

    exact = float(reference[0])
    assert found.max_abs == pytest.approx(2 * exact, rel=1e-15)
    assert found.norm_reference == pytest.approx(10 * exact, rel=1e-12)
    assert found.rel_frobenius == pytest.approx(2.0, rel=1e-12)
    assert found.cosine == pytest.approx(-1.0, rel=1e-12)


@pytest.mark.parametrize(
    ("dtype", "reference", "candidate", "difference"),
    [
        ("uint8", [3, 200], [4, 200], 1),
        ("uint64", [0, 2**64 - 1], [2**64 - 1, 2**64 - 1], 2**64 - 1),
        ("int64", [2**60, 5], [2**60 + 1, 5], 1),
        ("int64", [-(2**63), 0], [2**63 - 1, 0], 2**64 - 1),
        ("int8", [-128, 0], [127, 0], 255),
        (ml_dtypes.int4, [-8, 0], [7, 0], 15),
    ],
)
def test_integers_never_wrap_and_differ_exactly(dtype, reference, candidate, difference) -> None:
    found = measure(np.array(reference, dtype), np.array(candidate, dtype))

    assert found.max_abs == float(difference)
    assert (found.n_mismatched, found.worst_index, found.max_ulp) == (1, (0,), -1.0)
    assert not found.is_bitwise_equal


@pytest.mark.parametrize("signed", [[-5, 7], [5, 7]], ids=["negative", "positive"])
def test_signed_against_unsigned_64_bit_integers_is_exact(signed) -> None:
    found = measure(np.array(signed, np.int64), np.array([2**63, 7], np.uint64))

    assert found.max_abs == float(2**63 - signed[0])
    assert (found.n_mismatched, found.is_bitwise_equal) == (1, False)


def test_bools_are_compared_exactly() -> None:
    found = measure(np.array([True, False, True]), np.array([True, True, True]))

    assert (found.n_mismatched, found.max_abs, found.worst_index) == (1, 1.0, (1,))


def test_complex_numbers_are_measured_by_magnitude() -> None:
    found = measure(np.array([3 + 4j, 1j]), np.array([3 + 4j, 1j + 5]))

    assert (found.max_abs, found.worst_index) == (5.0, (1,))
    assert found.norm_reference == pytest.approx(math.sqrt(26))
    assert found.n_sign_flips == 0


def test_fp8_is_measured_without_ulp() -> None:
    found = measure(
        np.array([1.0, 2.0], ml_dtypes.float8_e4m3fn), np.array([1.0, 2.5], ml_dtypes.float8_e4m3fn)
    )

    assert (found.max_abs, found.max_ulp, found.n_mismatched) == (0.5, -1.0, 1)


def test_different_float_dtypes_are_never_bitwise_equal() -> None:
    found = measure(np.ones(3, np.float32), np.ones(3, np.float64))

    assert (found.norm_difference, found.max_ulp, found.is_bitwise_equal) == (0.0, 0.0, False)


def test_against_a_zero_reference_the_relative_difference_is_infinite() -> None:
    assert measure(np.zeros(3), np.ones(3)).rel_frobenius == math.inf
    assert measure(np.zeros(3), np.zeros(3)).rel_frobenius == 0.0
    assert math.isnan(measure(np.zeros(3), np.ones(3)).cosine)


def test_text_is_refused() -> None:
    with pytest.raises(InputError, match="<U1"):
        measure(np.array(["a"]), np.array(["b"]))


def test_pages_of_read_only_maps_are_handed_back_and_can_be_read_again(tmp_path: Path) -> None:
    values = np.arange(3_000_000, dtype=np.float32)
    values.tofile(tmp_path / "values")
    mapped = np.memmap(tmp_path / "values", np.float32, mode="r")

    first, second = measure(mapped, values), measure(mapped[100:], values[100:])

    assert first.is_bitwise_equal
    assert second.is_bitwise_equal
    assert float(mapped[-1]) == float(values[-1])


def test_maps_opened_for_writing_keep_unsaved_changes(tmp_path: Path) -> None:
    np.zeros(100_000, np.float32).tofile(tmp_path / "values")
    mapped = np.memmap(tmp_path / "values", np.float32, mode="c")
    mapped[:] = 1

    release(mapped)

    assert float(mapped.min()) == 1.0
