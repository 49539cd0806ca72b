"""Measure a pair of arrays: every statistic from one streaming pass, in bounded memory.

Numbers only; what they mean is for `judge`. One pass in cache-sized pieces (`chunks`, `kernels`) is
what makes all statistics together faster than one numpy expression per statistic.
"""

from __future__ import annotations

import math

import numpy as np

from portalign.compare.chunks import chunks
from portalign.compare.kernels import (
    MANTISSA_BITS,
    Part,
    careful_part,
    float_part,
    integer_part,
)
from portalign.errors import InputError
from portalign.records import Array
from portalign.results import Measurement

# 256 k float32 elements: measured fastest of 128 KiB to 1 MiB on a core with 1 MB of second- and
# 16 MB of third-level cache, since the constant cost of some twenty numpy calls per piece (15 us)
# is then spread thin.
CHUNK_BYTES = 2**20


def measure(reference: Array, candidate: Array, *, chunk_bytes: int = CHUNK_BYTES) -> Measurement:
    """Take all numbers of one pair.

    Differences and sums are float64; for pairs of float32 (and lower) up to 512 products are
    summed in float32 before they enter the float64 sum, which costs at most 1e-6 relative.
    Integers and bools are exact. Equal infinities match; other infinities and NaN never do and are
    counted. Complex values are measured by magnitude. Arrays may be memory maps and views of any
    layout.

    Args:
        reference: any shape; bool, integer, float, complex or `ml_dtypes` dtype.
        candidate: likewise. A differing shape is never broadcast: every number is then NaN and
            ``n_compared`` 0. The same for empty arrays, with ``n_elements`` 0.
        chunk_bytes: size of a piece of the reference.

    Raises:
        InputError: an array holds something that isn't a number.

    >>> measure(np.array([1.0, 2.0]), np.array([1.0, 2.5])).max_abs
    0.5
    """
    families = {dtype_family(array.dtype.name) for array in (reference, candidate)}
    if "other" in families:
        raise InputError(
            f"arrays of dtype {reference.dtype} and {candidate.dtype}",
            why="only numbers and bools can be compared",
            do="dump numeric arrays, or compare texts by other means",
        )
    if reference.shape != candidate.shape or reference.size == 0:
        return _nothing(reference, candidate)
    n_elements = max(1, chunk_bytes // reference.dtype.itemsize)
    n_scratch = min(n_elements, reference.size)
    scratch = np.empty(n_scratch + n_scratch // 8 + 1, np.float64)
    total = Part(max_abs=-1.0)
    index: tuple[int, ...] = ()
    with np.errstate(all="ignore"):  # overflow and NaN are counted, not warned about
        for chunk in chunks(reference, candidate, n_elements=n_elements):
            part = _part(chunk.reference, chunk.candidate, families, total.max_abs, scratch)
            if _is_worse(part, total):
                index = chunk.locate(part.place or 0)
            total = _merge(total, part)
        return _finish(reference, candidate, total, index)


def dtype_family(name: str) -> str:
    """Which of "bool", "int", "float" (bfloat16 and fp8 too), "complex" and "other" a dtype is."""
    for family, heads in {
        "bool": ("bool",),
        "int": ("int", "uint"),
        "float": ("float", "bfloat", "longdouble"),
        "complex": ("complex",),
    }.items():
        if name.startswith(heads):
            return family
    return "other"


def _part(
    reference: Array, candidate: Array, families: set[str], above: float, scratch: Array
) -> Part:
    if families <= {"int", "bool"}:
        return integer_part(reference, candidate, above=above)
    if families == {"float"}:
        return float_part(reference, candidate, above=above, scratch=scratch)
    wide = np.complex128 if "complex" in families else np.float64
    return careful_part(reference.astype(wide), candidate.astype(wide))


def _is_worse(part: Part, total: Part) -> bool:
    """A non-finite mismatch beats any number, and the first one stays."""
    if part.n_nonfinite_mismatched or total.n_nonfinite_mismatched:
        return total.n_nonfinite_mismatched == 0
    return part.place is not None and part.max_abs > total.max_abs


def _merge(total: Part, part: Part) -> Part:
    worst = part if _is_worse(part, total) else total
    return Part(
        total.n_compared + part.n_compared,
        max(total.max_abs, part.max_abs),
        worst.place,
        worst.worst_reference,
        worst.worst_candidate,
        total.sum_abs + part.sum_abs,
        total.squares_difference + part.squares_difference,
        total.squares_reference + part.squares_reference,
        total.squares_candidate + part.squares_candidate,
        max(total.max_ulp, part.max_ulp),
        total.n_mismatched + part.n_mismatched,
        total.n_nonfinite_mismatched + part.n_nonfinite_mismatched,
        total.n_nan_reference + part.n_nan_reference,
        total.n_nan_candidate + part.n_nan_candidate,
        total.n_inf_reference + part.n_inf_reference,
        total.n_inf_candidate + part.n_inf_candidate,
        total.n_sign_flips + part.n_sign_flips,
        total.is_equal and part.is_equal,
    )


def _finish(reference: Array, candidate: Array, total: Part, index: tuple[int, ...]) -> Measurement:
    norms = [
        float(np.sqrt(squares))
        for squares in (total.squares_difference, total.squares_reference, total.squares_candidate)
    ]
    return Measurement(
        shape_reference=reference.shape,
        shape_candidate=candidate.shape,
        dtype_reference=reference.dtype.name,
        dtype_candidate=candidate.dtype.name,
        n_elements=reference.size,
        n_compared=total.n_compared,
        max_abs=max(total.max_abs, 0.0),
        mean_abs=float(total.sum_abs) / max(total.n_compared, 1),
        rel_frobenius=_ratio(norms[0], norms[1]),
        norm_difference=norms[0],
        norm_reference=norms[1],
        norm_candidate=norms[2],
        worst_index=index,
        worst_reference=total.worst_reference,
        worst_candidate=total.worst_candidate,
        max_ulp=total.max_ulp,
        cosine=_cosine(norms[0], norms[1], norms[2]),
        n_mismatched=total.n_mismatched,
        n_nonfinite_mismatched=total.n_nonfinite_mismatched,
        n_nan_reference=total.n_nan_reference,
        n_nan_candidate=total.n_nan_candidate,
        n_inf_reference=total.n_inf_reference,
        n_inf_candidate=total.n_inf_candidate,
        n_sign_flips=total.n_sign_flips,
        is_bitwise_equal=total.is_equal and reference.dtype == candidate.dtype,
    )


def _ratio(difference: float, size: float) -> float:
    if size == 0:
        return 0.0 if difference == 0 else math.inf
    return difference / size


def _cosine(difference: float, reference: float, candidate: float) -> float:
    """From the three norms; next to 1 this is more exact than the inner product is."""
    if not (reference > 0 and candidate > 0):
        return math.nan
    ratio = candidate / reference
    if not 0 < ratio < math.inf:  # sizes so far apart that their ratio leaves the range of float64
        return math.nan
    gap = (difference / reference) ** 2 - (1 - ratio) ** 2
    return min(1.0, max(-1.0, 1 - gap / (2 * ratio)))


def _nothing(reference: Array, candidate: Array) -> Measurement:
    """The measurement of a pair in which no element stands against another."""
    nan = math.nan
    is_same = reference.shape == candidate.shape and reference.dtype == candidate.dtype
    is_floating = reference.dtype.name in MANTISSA_BITS and candidate.dtype.name in MANTISSA_BITS
    return Measurement(
        reference.shape, candidate.shape, reference.dtype.name, candidate.dtype.name,
        n_elements=reference.size, n_compared=0, max_abs=nan, mean_abs=nan, rel_frobenius=nan,
        norm_difference=nan, norm_reference=nan, norm_candidate=nan,
        worst_index=(), worst_reference=nan, worst_candidate=nan,
        max_ulp=nan if is_floating else -1.0, cosine=nan, n_mismatched=0,
        n_nonfinite_mismatched=0, n_nan_reference=0, n_nan_candidate=0, n_inf_reference=0,
        n_inf_candidate=0, n_sign_flips=0, is_bitwise_equal=is_same,
    )  # fmt: skip
