"""The numbers of one chunk: flat, contiguous pieces of both sides, at most some hundred kilobytes.

Floats run through three kernels, each taking over where the one before can't be trusted: float32
arithmetic with float64 sums, float64 arithmetic, and a careful one for NaN, infinities, complex
numbers and extreme sizes. Integers are exact at every size.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from portalign.records import Array

Numbers = npt.NDArray[Any]  # arithmetic on any numeric dtype, which NDArray[np.generic] forbids

# Explicit mantissa bits of the dtypes whose spacing is measured, coarsest first.
MANTISSA_BITS = {"bfloat16": 7, "float16": 10, "float32": 23, "float64": 52}
# Products of float32 are summed in float32 over rows of this length and in float64 beyond. Measured
# relative error of such a sum against float64: 1e-8 on normal data, 3e-7 on constants, whose errors
# all point one way; see tests/test_measure.py.
_ROW = 512
# Two sides of float32 whose difference is at most 3e-7 of the reference have the same norm to 3e-7
# (triangle inequality), well within what the sums above leave: the candidate's needs no pass then.
_CLOSE = 1e-13
_ONES: dict[int, Numbers] = {4: np.ones(_ROW, np.float32), 8: np.ones(_ROW, np.float64)}
# Sums of squares outside these bounds may have under- or overflowed.
_SAFE = {4: (1e-28, 1e30), 8: (1e-280, 1e280)}


class Part(NamedTuple):
    """Numbers of one chunk; sums are unscaled. `place` is None when `max_abs` is no new maximum."""

    n_compared: int = 0
    max_abs: float = 0.0
    place: int | None = None
    worst_reference: float = 0.0
    worst_candidate: float = 0.0
    sum_abs: float = 0.0
    squares_difference: float = 0.0
    squares_reference: float = 0.0
    squares_candidate: float = 0.0
    max_ulp: float = -1.0
    n_mismatched: int = 0
    n_nonfinite_mismatched: int = 0
    n_nan_reference: int = 0
    n_nan_candidate: int = 0
    n_inf_reference: int = 0
    n_inf_candidate: int = 0
    n_sign_flips: int = 0
    is_equal: bool = True


class Bits(NamedTuple):
    """Both sides as signed integers of one float dtype, to count units in the last place."""

    reference: Numbers
    candidate: Numbers
    mantissa: int


def bits_of(reference: Array, candidate: Array) -> Bits | None:
    """View both chunks as integers of the coarser dtype; None if a dtype has no known spacing."""
    spacing = _spacing(reference.dtype, candidate.dtype)
    if spacing is None:
        return None
    coarser, integer, mantissa = spacing
    sides = [
        (array if array.dtype == coarser else array.astype(coarser)).view(integer)
        for array in (reference, candidate)
    ]
    return Bits(sides[0], sides[1], mantissa)


@lru_cache
def _spacing(
    reference: np.dtype[Any], candidate: np.dtype[Any]
) -> tuple[np.dtype[Any], np.dtype[Any], int] | None:
    """The coarser dtype, the integers that hold its bits and the length of its mantissa."""
    pair = (reference, candidate)
    if not all(dtype.name in MANTISSA_BITS for dtype in pair):
        return None
    coarser = min(pair, key=lambda dtype: MANTISSA_BITS[dtype.name])
    return coarser, np.dtype(f"i{coarser.itemsize}"), MANTISSA_BITS[coarser.name]


def float_part(reference: Array, candidate: Array, *, above: float, scratch: Numbers) -> Part:
    """Measure floats of any dtype.

    Args:
        above: greatest difference so far; only a greater one is located.
        scratch: at least n + n / 8 + 1 float64, overwritten: the difference and a mask.
    """
    bits = bits_of(reference, candidate)
    is_same = reference.dtype == candidate.dtype
    if is_same and reference.dtype.itemsize <= 4:
        single = [array.astype(np.float32, copy=False) for array in (reference, candidate)]
        part = _finite(single[0], single[1], bits, is_same, above, scratch)
        if part is not None:
            return part
    double: list[Numbers] = [
        array.astype(np.float64, copy=False) for array in (reference, candidate)
    ]
    part = _finite(double[0], double[1], bits, is_same, above, scratch)
    return part or careful_part(double[0], double[1], bits=bits)


def _finite(
    a: Numbers, b: Numbers, bits: Bits | None, is_same: bool, above: float, scratch: Numbers
) -> Part | None:
    """All numbers of finite chunks; None if something is not finite or may have overflowed."""
    mask = scratch[-(a.size // 8 + 1) :].view(np.bool_)[: a.size]
    near = _near(bits, scratch, mask) if bits is not None else None
    if is_same and near == (0, 0):
        (squares_a,) = inner_products((a, a))
        return None if not _is_safe(squares_a, a) else Part(
            a.size, 0.0, 0 if above < 0 else None, float(a[0]), float(b[0]),
            squares_reference=squares_a, squares_candidate=squares_a, max_ulp=0.0,
        )  # fmt: skip
    n_mismatched = near[1] if near and is_same else _count(np.not_equal(a, b, out=mask))
    d = np.subtract(a, b, out=scratch.view(a.dtype)[: a.size])
    np.abs(d, out=d)
    squares_a, squares_d, sum_abs = inner_products((a, a), (d, d), (d, None))
    is_close = squares_d <= _CLOSE * squares_a and a.itemsize == 4
    squares_b = squares_a if is_close else inner_products((b, b))[0]
    if not (_is_safe(squares_a, a) and _is_safe(squares_b, b) and _is_safe(squares_d, d)):
        return None
    place = int(d.argmax())
    is_worse = d.item(place) > above
    worst = (float(a[place]), float(b[place])) if is_worse else (0.0, 0.0)
    ulp, n_flips = float(near[0]) if near else -1.0, 0
    if near is None:
        ulp, n_flips = _ulp(bits) if bits is not None else -1.0, _sign_flips(a, b)
    return Part(
        a.size, abs(worst[0] - worst[1]), place if is_worse else None, worst[0], worst[1],
        sum_abs, squares_d, squares_a, squares_b, ulp,
        n_mismatched=n_mismatched, n_sign_flips=n_flips, is_equal=False,
    )  # fmt: skip


def careful_part(a: Numbers, b: Numbers, *, bits: Bits | None = None) -> Part:
    """Measure float64 or complex128 chunks that may hold NaN, infinities or extreme sizes.

    Complex numbers are measured by magnitude; a sign flip needs real numbers.
    """
    is_finite = np.isfinite(a) & np.isfinite(b)
    differs = a != b  # NaN differs from everything, equal infinities don't
    broken = differs & ~is_finite
    # long double reaches 1e4932 on x86 and aarch64: squares of any float64 fit.
    fa, fb = (x[is_finite].astype(np.result_type(x, np.longdouble)) for x in (a, b))
    d = np.abs(fa - fb)
    place = None
    if broken.any():
        place = int(np.flatnonzero(broken)[0])
    elif d.size:
        place = int(np.flatnonzero(is_finite)[int(d.argmax())])
    sides = [np.abs(fa), np.abs(fb)]
    if bits is not None:
        bits = Bits(bits.reference[is_finite], bits.candidate[is_finite], bits.mantissa)
    return Part(
        int(d.size), float(d.max(initial=0)), place,
        0.0 if place is None else _scalar(a[place]), 0.0 if place is None else _scalar(b[place]),
        d.sum(), (d * d).sum(), (sides[0] * sides[0]).sum(), (sides[1] * sides[1]).sum(),
        -1.0 if bits is None else _ulp(bits),
        int(np.count_nonzero(differs)), int(np.count_nonzero(broken)),
        int(np.count_nonzero(np.isnan(a))), int(np.count_nonzero(np.isnan(b))),
        int(np.count_nonzero(np.isinf(a))), int(np.count_nonzero(np.isinf(b))),
        0 if np.iscomplexobj(a) or np.iscomplexobj(b) else _sign_flips(fa, fb),
        is_equal=bool(np.array_equal(a.view(np.uint64), b.view(np.uint64))),
    )  # fmt: skip


def integer_part(reference: Array, candidate: Array, *, above: float) -> Part:
    """Measure integers and bools: differences are exact, whatever the width and the signs."""
    a, b = _widen(reference, candidate)
    magnitude = np.where(a > b, a, b) - np.where(a > b, b, a) if a.dtype == object else _gap(a, b)
    place = int(magnitude.argmax())
    largest = float(magnitude[place])
    floats = [x.astype(np.float64) for x in (magnitude, a, b)]
    squares = inner_products(*((x, x) for x in floats))
    return Part(
        int(a.size), largest, place if largest > above else None, float(a[place]), float(b[place]),
        float(floats[0].sum()), squares[0], squares[1], squares[2],
        n_mismatched=int(np.count_nonzero(a != b)), n_sign_flips=_sign_flips(a, b),
        is_equal=bool(np.array_equal(a, b)),
    )  # fmt: skip


def _widen(reference: Array, candidate: Array) -> tuple[Numbers, Numbers]:
    """Both as int64 or both as uint64; as Python integers where neither holds all values."""
    a, b = (
        array.view(np.uint8) if array.dtype.kind == "b" else array
        for array in (reference, candidate)
    )
    unsigned = [array.dtype == np.uint64 for array in (a, b)]
    if not any(unsigned):
        return a.astype(np.int64), b.astype(np.int64)
    if not any(np.less(array, 0).any() for array in (a, b)):
        return a.astype(np.uint64), b.astype(np.uint64)
    return a.astype(object), b.astype(object)


def _gap(a: Numbers, b: Numbers) -> Numbers:
    """``|a - b|`` of equal 64-bit dtypes as uint64: modular arithmetic makes it exact."""
    ua, ub = a.view(np.uint64), b.view(np.uint64)
    return np.where(a > b, ua - ub, ub - ua)


def _near(bits: Bits, scratch: Numbers, mask: Numbers) -> tuple[int, int] | None:
    """Greatest ULP distance and number of differing patterns, by wrapping subtraction.

    None if some pair may have opposite signs (zeros too) or be further apart than wrapping tells:
    finite values of opposite sign always lie ``2**mantissa`` or more apart, wrapped or not.
    """
    out = scratch.view(bits.reference.dtype)[: bits.reference.size]
    steps = np.subtract(bits.reference, bits.candidate, out=out)
    greatest: int = _largest(steps)
    if greatest >= 2**bits.mantissa:
        return None
    return greatest, _count(np.not_equal(steps, 0, out=mask)) if greatest else 0


def _largest(array: Numbers) -> Any:
    """Greatest magnitude, as a Python number; `argmax` starts faster than `maximum.reduce`."""
    return max(array.item(array.argmax()), -array.item(array.argmin()))


def _count(mask: Numbers) -> int:
    return int(np.count_nonzero(mask))


def _ulp(bits: Bits) -> float:
    """Greatest distance in units in the last place; crossing zero counts both ways, -0 is 0."""
    if not bits.reference.size:
        return 0.0
    dtype = np.dtype(f"u{bits.reference.itemsize}")  # holds the sum of two magnitudes exactly
    rest = dtype.type(np.iinfo(bits.reference.dtype).max)
    a, b = (x.view(dtype) & rest for x in (bits.reference, bits.candidate))
    is_opposite = (bits.reference ^ bits.candidate) < 0
    return float(np.where(is_opposite, a + b, np.maximum(a, b) - np.minimum(a, b)).max())


def _sign_flips(a: Numbers, b: Numbers) -> int:
    return int(np.count_nonzero(((a < 0) & (b > 0)) | ((a > 0) & (b < 0))))


def inner_products(*pairs: tuple[Numbers, Numbers | None]) -> list[float]:
    """Inner product of each pair, or the plain sum where the second is None.

    Float64 throughout for float64, by rows of 512 for float32. The row of ones that turns a product
    into a sum stays in the first-level cache. Rows are also too short for the threads of BLAS,
    which wait for each other: on two busy cores a product of a whole piece took 35 times as long.
    """
    size, ones = pairs[0][0].size, _ONES[pairs[0][0].dtype.itemsize]
    n = size // _ROW * _ROW
    rows = np.empty((len(pairs), n // _ROW), ones.dtype)
    for row, (a, b) in zip(rows, pairs, strict=True):
        if b is None:
            np.matmul(a[:n].reshape(-1, _ROW), ones, out=row)
        else:
            left, right = a[:n].reshape(-1, 1, _ROW), b[:n].reshape(-1, _ROW, 1)
            np.matmul(left, right, out=row.reshape(-1, 1, 1))
    sums: list[float] = np.add.reduce(rows, axis=1, dtype=np.float64).tolist()
    if n == size:
        return sums
    tails = [float(np.dot(a[n:], ones[: size - n] if b is None else b[n:])) for a, b in pairs]
    return [whole + tail for whole, tail in zip(sums, tails, strict=True)]


def _is_safe(squares: float, array: Numbers) -> bool:
    low, high = _SAFE[array.itemsize]
    return low <= squares <= high or (squares == 0 and not array.any())


def _scalar(value: Any) -> float:
    return float(abs(value)) if np.iscomplexobj(value) else float(value)
