"""The verdict rules: each in a case where it fires and in a twin case where it must not."""

from __future__ import annotations

import math
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

from portalign.compare.judge import Judgement, judge
from portalign.compare.measure import measure
from portalign.compare.pairs import compare, overall
from portalign.compare.tolerance import (
    CLIP_COEFFICIENT,
    DRIFT_ASYMMETRY,
    RELATIVE,
    TWIN_RELATIVE,
    for_dtype,
    typical_norm,
)
from portalign.records import Kind, TensorKey
from portalign.results import Basis, Comparison, Outcome, Unpaired, Verdict

KEY = TensorKey(Kind.ACTIVATION, "encoder.fc", "out.0")
RNG = np.random.default_rng(3)
EXACT = RNG.standard_normal((64, 32))
SINGLE = EXACT.astype(np.float32)


def _judged(reference: object, candidate: object, **given: object) -> Comparison:
    return compare(np.asarray(reference), np.asarray(candidate), key=KEY, **given)


def _off(relative: float, seed: int = 0) -> np.ndarray:
    """`EXACT` moved by the given relative Frobenius distance."""
    noise = np.random.default_rng(seed).standard_normal(EXACT.shape)
    return EXACT + relative * np.linalg.norm(EXACT) / np.linalg.norm(noise) * noise


NAN_AT_0 = np.array([math.nan, 1.0])
FINITE = np.array([2.0, 1.0])
INF_AT_0 = np.array([math.inf, 1.0])

STRUCTURE = {
    "shapes differ": ((np.ones((4, 5)), np.ones(5)), Verdict.DIVERGENT, "Shapes differ: ("),
    "transposed shape": ((np.ones((4, 5)), np.ones((5, 4))), Verdict.DIVERGENT, "Shapes differ: ("),
    "loss of shape (1,)": ((np.ones(()), np.ones(1)), Verdict.DIVERGENT, "Shapes differ: ("),
    "float against int": (
        (np.ones(3), np.ones(3, np.int64)),
        Verdict.DIVERGENT,
        "of different kinds: float64 against int64",
    ),
    "bool against int": ((np.ones(3, bool), np.ones(3, np.int8)), Verdict.DIVERGENT, "kinds"),
    "empty": ((np.ones((0, 3)), np.ones((0, 3))), Verdict.UNDECIDED, "empty"),
    "NaN in the candidate": ((FINITE, NAN_AT_0), Verdict.DIVERGENT, "first at [0]: 2 against nan"),
    "NaN in the reference": ((NAN_AT_0, FINITE), Verdict.UNDECIDED, "reference itself holds NaN"),
    "NaN on both sides": ((NAN_AT_0, NAN_AT_0.copy()), Verdict.UNDECIDED, "holds NaN in 1 of 2"),
    "infinity in the candidate": ((FINITE, INF_AT_0), Verdict.DIVERGENT, "infinite on one side"),
    "infinity in the reference": ((INF_AT_0, FINITE), Verdict.DIVERGENT, "infinite on one side"),
    "infinities of opposite sign": ((INF_AT_0, -INF_AT_0), Verdict.DIVERGENT, "inf against -inf"),
}


@pytest.mark.parametrize("case", STRUCTURE)
def test_structure_decides_without_any_allowance(case: str) -> None:
    arrays, verdict, text = STRUCTURE[case]

    found = _judged(*arrays)

    assert (found.verdict, found.basis) == (verdict, Basis.STRUCTURE)
    failing = verdict is Verdict.DIVERGENT
    assert found.outcome is (Outcome.FAIL if failing else Outcome.INCONCLUSIVE)
    assert text in found.reason


@pytest.mark.parametrize(
    ("reference", "candidate"),
    [
        (np.ones((4, 5)), np.ones((4, 5))),
        (np.ones(()), np.ones(())),
        (np.ones(3, bool), np.ones(3, bool)),
        (INF_AT_0, INF_AT_0.copy()),
        (np.array([-0.0, 3.0]), np.array([-0.0, 3.0])),
    ],
    ids=["matrix", "scalar", "bool", "equal infinities", "minus zero"],
)
def test_equal_bits_are_identical(reference: np.ndarray, candidate: np.ndarray) -> None:
    found = _judged(reference, candidate)

    assert (found.verdict, found.basis, found.outcome) == (
        Verdict.IDENTICAL,
        Basis.BITS,
        Outcome.PASS,
    )
    assert found.used == 0.0


def test_equal_infinities_beside_rounding_pass() -> None:
    reference = np.array([math.inf, -math.inf, 1.0], np.float32)
    candidate = np.array([math.inf, -math.inf, 1.0000001], np.float32)

    assert _judged(reference, candidate).verdict is Verdict.CLOSE


def test_a_difference_that_overflows_fails_although_what_is_allowed_overflows_too() -> None:
    lowest = np.finfo(np.float64).min
    mask, inverted = np.tile([0.0, lowest], 8), np.tile([lowest, 0.0], 8)

    assert _judged(mask, mask.copy(), twins=(mask, mask.copy())).outcome is Outcome.PASS
    assert _judged(mask, inverted).outcome is Outcome.FAIL
    assert _judged(mask, inverted, twins=(mask, inverted)).outcome is Outcome.FAIL


def test_equal_values_of_another_float_dtype_are_close_and_not_identical() -> None:
    found = _judged(np.ones(3, np.float32), np.ones(3, np.float16))

    assert (found.verdict, found.outcome) == (Verdict.CLOSE, Outcome.PASS)


def test_minus_zero_against_zero_passes_but_is_not_identical() -> None:
    assert _judged(np.array([0.0]), np.array([-0.0])).verdict is Verdict.CLOSE


@pytest.mark.parametrize(
    ("candidate", "verdict"),
    [
        (np.array([5, 2**60]), Verdict.IDENTICAL),
        (np.array([5, 2**60 + 1]), Verdict.DIVERGENT),
        (np.array([5, 6], np.int32), Verdict.DIVERGENT),
    ],
    ids=["equal", "off by one beyond float64", "other width"],
)
def test_integers_must_be_equal(candidate: np.ndarray, verdict: Verdict) -> None:
    found = _judged(np.array([5, 2**60]), candidate)

    assert (found.verdict, found.basis) == (verdict, Basis.BITS)
    assert found.outcome is (Outcome.PASS if verdict is Verdict.IDENTICAL else Outcome.FAIL)


def test_integers_of_another_width_and_equal_values_pass() -> None:
    found = _judged(np.array([5, 6]), np.array([5, 6], np.int32))

    assert (found.verdict, found.outcome) == (Verdict.CLOSE, Outcome.PASS)


def test_a_flipped_bool_fails() -> None:
    assert _judged([True, False], [True, True]).outcome is Outcome.FAIL


def test_integers_with_twins_are_judged_as_integers() -> None:
    ids = np.array([1, 2, 3])

    assert _judged(ids, ids.copy(), twins=(ids, ids)).verdict is Verdict.IDENTICAL
    assert _judged(ids, ids + 1, twins=(ids, ids + 1)).verdict is Verdict.DIVERGENT


# The smallest seeded bug on record is 5.6e-8, the largest benign rewrite 1.1e-15.
@pytest.mark.parametrize(
    ("distance", "verdict"),
    [(5.6e-8, Verdict.DIVERGENT), (1.2e-9, Verdict.DIVERGENT), (1.1e-15, Verdict.ROUNDING)],
)
def test_float64_twins_tell_a_bug_from_rounding(distance: float, verdict: Verdict) -> None:
    moved = _off(distance)
    candidate = np.nextafter(SINGLE, np.float32(9))  # one unit of rounding in every element

    found = _judged(SINGLE, candidate, twins=(EXACT, moved))

    assert (found.verdict, found.basis) == (verdict, Basis.TWINS)
    assert found.used == pytest.approx(
        distance / TWIN_RELATIVE if verdict is Verdict.DIVERGENT else found.used, rel=1e-3
    )
    assert (found.used > 1) is (verdict is Verdict.DIVERGENT)


def test_native_values_equal_bit_for_bit_do_not_hide_diverging_twins() -> None:
    found = _judged(SINGLE, SINGLE.copy(), twins=(EXACT, _off(5.6e-8)))

    assert (found.verdict, found.outcome) == (Verdict.DIVERGENT, Outcome.FAIL)
    assert "equal bit for bit: their precision hides it" in found.reason


def test_native_values_equal_bit_for_bit_with_agreeing_twins_are_identical() -> None:
    assert _judged(SINGLE, SINGLE.copy(), twins=(EXACT, _off(1e-15))).verdict is Verdict.IDENTICAL


def test_a_buffer_kept_in_lower_precision_is_named_with_the_side_that_loses() -> None:
    lowered = SINGLE.astype(ml_dtypes.bfloat16).astype(np.float32)

    worse_candidate = _judged(SINGLE, lowered, twins=(EXACT, EXACT))
    worse_reference = _judged(lowered, SINGLE, twins=(EXACT, EXACT))
    other_dtype = _judged(SINGLE, SINGLE.astype(ml_dtypes.bfloat16), twins=(EXACT, EXACT))

    for found, loser in (
        (worse_candidate, "the candidate loses"),
        (worse_reference, "the reference loses"),
        (other_dtype, "the candidate loses"),
    ):
        assert (found.verdict, found.outcome) == (Verdict.PRECISION, Outcome.FAIL)
        assert loser in found.reason
        assert found.used > 1


def test_both_sides_losing_alike_is_rounding_even_in_bfloat16() -> None:
    sides = [_off(4e-3, seed).astype(ml_dtypes.bfloat16) for seed in (1, 2)]

    found = _judged(*sides, twins=(EXACT, EXACT))

    assert (found.verdict, found.outcome) == (Verdict.ROUNDING, Outcome.PASS)
    assert 0 < found.used < 1
    assert found.own_reference > 0
    assert "rounding" in found.reason


# Ratios of agreeing pairs lay in 0.31..1.89, the smallest visible defect had 7.9.
@pytest.mark.parametrize(("ratio", "passes"), [(1.89, True), (7.9, False)])
def test_native_difference_is_held_against_the_smaller_own_distance(
    ratio: float, passes: bool
) -> None:
    own = 1e-4
    native = measure(EXACT.astype(np.float32), _off(ratio * own).astype(np.float32))
    norm = native.norm_reference

    found = judge(
        native,
        measure(EXACT, EXACT),
        own_reference=own * norm,
        own_candidate=50 * own * norm,
        tolerance=for_dtype("float32"),
    )

    assert (found.verdict is Verdict.ROUNDING) is passes


def _drifted(times: float, asymmetry: float) -> Judgement:
    """A candidate that loses 1e-2, so many times what the reference loses."""
    native = measure(EXACT.astype(np.float32), _off(1e-2).astype(np.float32))
    return judge(
        native,
        measure(EXACT, EXACT),
        own_reference=1e-2 / times * native.norm_reference,
        own_candidate=1e-2 * native.norm_reference,
        tolerance=for_dtype("float32"),
        asymmetry=asymmetry,
    )


# Faithful sides drifted apart by up to 728; float16 against float32 is 8192, bfloat16 65536.
@pytest.mark.parametrize(
    ("times", "asymmetry", "verdict"),
    [
        (728.0, DRIFT_ASYMMETRY, Verdict.ROUNDING),
        (8192.0, DRIFT_ASYMMETRY, Verdict.PRECISION),
        (65536.0, DRIFT_ASYMMETRY, Verdict.PRECISION),
        (728.0, 1.0, Verdict.PRECISION),
        (65536.0, math.inf, Verdict.ROUNDING),
    ],
)
def test_drift_counts_the_larger_own_distance_up_to_a_multiple_of_the_smaller(
    times: float, asymmetry: float, verdict: Verdict
) -> None:
    assert _drifted(times, asymmetry).verdict is verdict


@pytest.mark.parametrize(("off", "passes"), [(1.3e-3, True), (6e-3, False)])
@pytest.mark.parametrize("has_twins", [True, False])
def test_a_clip_coefficient_may_lose_what_float32_norms_lose(
    off: float, passes: bool, has_twins: bool
) -> None:
    twins = (np.float64(0.5), np.float64(0.5)) if has_twins else None
    given = (np.float32(0.5), np.float32(0.5 * (1 + off)))

    found = _judged(*given, twins=twins, tolerance=CLIP_COEFFICIENT)

    assert (found.outcome is Outcome.PASS) is passes
    assert _judged(*given, twins=twins).outcome is Outcome.FAIL


def test_twins_that_differ_fail_a_clip_coefficient_within_its_tolerance() -> None:
    twins = (np.float64(0.5), np.float64(0.5001))

    found = _judged(np.float32(0.5), np.float32(0.5001), twins=twins, tolerance=CLIP_COEFFICIENT)

    assert found.verdict is Verdict.DIVERGENT


FLIPPED = (np.array([1, 2, 3]), np.array([1, 2, 4]))


@pytest.mark.parametrize("kind", [Kind.ACTIVATION, Kind.OUTPUT])
def test_computed_integers_that_agree_in_float64_are_a_near_tie_and_undecided(kind: Kind) -> None:
    same = FLIPPED[0], FLIPPED[0].copy()

    found = compare(*FLIPPED, key=TensorKey(kind, "x"), twins=same)

    assert (found.verdict, found.outcome) == (Verdict.UNDECIDED, Outcome.INCONCLUSIVE)
    assert "a near tie" in found.reason
    assert "Worst at [2]: 3 against 4" in found.reason


@pytest.mark.parametrize(
    ("kind", "twins"),
    [
        (Kind.INPUT, (FLIPPED[0], FLIPPED[0].copy())),
        (Kind.ACTIVATION, FLIPPED),
        (Kind.ACTIVATION, None),
    ],
    ids=["fed", "other mathematics", "no twins"],
)
def test_other_integers_that_differ_fail(
    kind: Kind, twins: tuple[np.ndarray, np.ndarray] | None
) -> None:
    found = compare(*FLIPPED, key=TensorKey(kind, "x"), twins=twins)

    assert (found.verdict, found.outcome) == (Verdict.DIVERGENT, Outcome.FAIL)


def test_a_value_that_one_side_holds_exactly_is_allowed_a_rounding_of_the_other() -> None:
    exact = np.full(100, 0.5)
    candidate = np.full(100, np.nextafter(np.float32(0.5), np.float32(1)))

    found = _judged(exact.astype(np.float32), candidate, twins=(exact, exact))

    assert found.own_reference == 0
    assert found.verdict is Verdict.ROUNDING


def test_float64_ports_are_judged_by_their_twins_alone() -> None:
    same = _judged(EXACT, _off(1e-14), twins=(EXACT, _off(1e-14)))
    other = _judged(EXACT, _off(1e-7), twins=(EXACT, _off(1e-7)))

    assert (same.verdict, other.verdict) == (Verdict.ROUNDING, Verdict.DIVERGENT)


@pytest.mark.parametrize(("scale", "passes"), [(1.0, True), (0.0, False)], ids=["with", "without"])
def test_a_tensor_that_is_zero_in_theory_needs_the_sizes_around_it(
    scale: float, passes: bool
) -> None:
    noise = [np.random.default_rng(seed).standard_normal(32) for seed in (1, 2)]
    twins = (1e-17 * noise[0], 1e-17 * noise[1])
    native = [(1e-9 * part).astype(np.float32) for part in noise]

    with_twins = _judged(*native, twins=twins, scale=scale)
    without = _judged(*native, scale=scale)

    assert (with_twins.outcome is Outcome.PASS) is passes
    assert (without.outcome is Outcome.PASS) is passes


def test_the_floor_of_the_sizes_around_does_not_excuse_a_tensor_of_that_size() -> None:
    scale = float(np.linalg.norm(EXACT))

    assert _judged(EXACT, _off(1e-7), twins=(EXACT, _off(1e-7)), scale=scale).used > 1
    assert _judged(SINGLE, _off(5e-4).astype(np.float32), scale=scale).used > 1


def test_typical_norm_ignores_what_vanishes_or_is_not_finite() -> None:
    assert typical_norm([0.0, math.nan, math.inf, 2.0, 3.0, 4.0]) == 3.0
    assert typical_norm([]) == 0.0


@pytest.mark.parametrize("dtype", list(RELATIVE))
@pytest.mark.parametrize(("share", "passes"), [(0.5, True), (2.0, False)])
def test_without_twins_a_tolerance_per_dtype_decides(
    dtype: str, share: float, passes: bool
) -> None:
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    reference = np.ones(1000, kind).astype(np.float64)
    native = measure(reference, reference * (1 + share * RELATIVE[dtype]))

    found = judge(native, tolerance=for_dtype(dtype))

    assert (found.verdict is Verdict.CLOSE) is passes
    assert (found.outcome is Outcome.PASS) is passes
    assert found.basis is Basis.TOLERANCE
    assert found.used == pytest.approx(share, rel=1e-6)
    assert dtype in found.reason


def test_a_dtype_that_was_lowered_on_one_side_is_held_to_the_references_tolerance() -> None:
    lowered = (SINGLE * 1.01).astype(ml_dtypes.bfloat16)

    assert _judged(SINGLE, lowered).verdict is Verdict.DIVERGENT
    assert _judged(SINGLE.astype(ml_dtypes.bfloat16), lowered).verdict is Verdict.CLOSE


@pytest.mark.parametrize(
    ("kind", "off", "expected"),
    [
        (Kind.GRADIENT, 1.04, Verdict.CLOSE),
        (Kind.GRADIENT, 1.1, Verdict.DIVERGENT),
        (Kind.ACTIVATION, 1.04, Verdict.DIVERGENT),
    ],
)
def test_the_backward_pass_costs_low_dtypes_more(kind: Kind, off: float, expected: Verdict) -> None:
    sides = [(SINGLE * by).astype(ml_dtypes.bfloat16) for by in (1.0, off)]

    assert compare(sides[0], sides[1], key=TensorKey(kind, "weight")).verdict is expected


@pytest.mark.parametrize(
    ("n", "apart", "expected"),
    [
        (2, 60.0, Verdict.ROUNDING),  # luck of one side: two numbers have no statistics
        (2, 70.0, Verdict.PRECISION),  # over 4 times 16
        (3, 14.0, Verdict.ROUNDING),  # 4 times 4
        (3, 20.0, Verdict.PRECISION),
        (8, 4.5, Verdict.ROUNDING),  # 4 times 1.49
        (8, 20.0, Verdict.PRECISION),
        (2, 8192.0, Verdict.PRECISION),  # a side in float16
        (64, 20.0, Verdict.PRECISION),
    ],
)
def test_few_numbers_may_be_lucky_but_not_low(n: int, apart: float, expected: Verdict) -> None:
    exact = np.full(n, 1e-3)
    own = 1e-8
    native = measure((exact + own).astype(np.float64), (exact - own * apart).astype(np.float64))
    single = replace(native, dtype_reference="float32", dtype_candidate="float32")

    found = judge(
        single,
        measure(exact, exact),
        own_reference=own * math.sqrt(n),
        own_candidate=own * apart * math.sqrt(n),
        tolerance=for_dtype("float32"),
    )

    assert found.verdict is expected


def test_complex_numbers_have_the_tolerance_of_their_parts_and_the_users_own_replaces_all() -> None:
    assert for_dtype("complex64").relative == RELATIVE["float32"]
    assert for_dtype("float32", relative=0.25).relative == 0.25
    assert for_dtype("int64").relative == 0.0


def test_a_twin_that_stayed_behind_leaves_the_verdict_to_the_tolerance() -> None:
    candidate = _off(1e-7).astype(np.float32)

    found = _judged(SINGLE, candidate, twins=(EXACT, candidate))

    assert (found.verdict, found.basis) == (Verdict.CLOSE, Basis.TOLERANCE)
    assert "stayed behind (float64 against float32)" in found.reason


def test_nan_in_the_references_twin_leaves_the_verdict_to_the_tolerance() -> None:
    broken = EXACT.copy()
    broken[0, 0] = math.nan

    found = _judged(SINGLE, _off(1e-7).astype(np.float32), twins=(broken, broken))

    assert (found.verdict, found.basis) == (Verdict.CLOSE, Basis.TOLERANCE)
    assert "twin holds NaN" in found.reason


def test_nan_in_the_candidates_twin_alone_fails() -> None:
    broken = EXACT.copy()
    broken[0, 0] = math.nan

    found = _judged(SINGLE, SINGLE.copy(), twins=(EXACT, broken))

    assert found.outcome is Outcome.FAIL
    assert "float64 elements are NaN" in found.reason


def test_nan_in_an_own_distance_or_an_allowance_fails() -> None:
    native = measure(SINGLE, _off(1e-6).astype(np.float32))
    tolerance = for_dtype("float32")

    unknown = judge(
        native,
        measure(EXACT, EXACT),
        own_reference=math.nan,
        own_candidate=math.nan,
        tolerance=tolerance,
    )

    assert unknown.outcome is Outcome.FAIL
    assert judge(native, tolerance=for_dtype("float32", relative=math.nan)).outcome is (
        Outcome.FAIL
    )
    assert judge(native, tolerance=tolerance).outcome is Outcome.PASS


def test_the_worst_element_is_in_the_reason_of_every_failure_by_numbers() -> None:
    candidate = SINGLE.copy()
    candidate[7, 3] += 1

    for found in (
        _judged(SINGLE, candidate),
        _judged(SINGLE, candidate, twins=(EXACT, candidate.astype(float))),
    ):
        assert "Worst at [7, 3]" in found.reason


def test_nothing_compared_and_promised_records_that_lack_a_partner_are_inconclusive() -> None:
    same = _judged(SINGLE, SINGLE)
    missing = Unpaired("reference", KEY, "absent", is_promised=True)
    harmless = Unpaired("candidate", KEY, "an inner module", is_promised=False)

    assert overall(()) is Outcome.INCONCLUSIVE
    assert overall((same,), (missing,)) is Outcome.INCONCLUSIVE
    assert overall((same,), (harmless,)) is Outcome.PASS
    assert overall((same, _judged(SINGLE, SINGLE + 1)), (missing,)) is Outcome.FAIL
