"""The constants that verdicts rest on, each with the measurement it comes from.

Where float64 twins exist they decide, and only the twin constants matter. The tolerances per dtype
are for pairs without twins: foreign dumps, and tensors that could not be lifted.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable

from portalign.compare.kernels import MANTISSA_BITS
from portalign.results import Tolerance

# 30 seeded port bugs differ by 5.6e-8 or more between float64 twins, 12 benign rewrites by 1.1e-15
# or less (relative Frobenius norm, torch 2.13 against paddle 3.3.1). Scalars that Paddle keeps in
# float32 leave floors from 1e-13 to 4e-10 in forward tensors and gradients; 1e-9 lies above those.
TWIN_RELATIVE = 1e-9
# What is zero in theory (the gradient of a key projection's bias) is float64 noise: at most 3.4e-16
# of the typical norm around it in the 13,000 pairs of 45 benign rewrites of the fault matrix. That
# grows with the number of positions summed over: 1e-12 leaves room for 3000 times as much.
TWIN_SCALE = 1e-12

# Native difference over each side's own distance to its float64 twin: 0.31 to 1.89 for all 470
# tensors of agreeing third-party pairs, 7.9 for the smallest real defect that float32 can see. 4
# is the geometric middle of 1.89 and 7.9, rounded.
ROUNDING_RATIO = 4.0
# Once each side trains on weights of its own, both drift, and not by the same amount: the larger
# own distance counts, up to so many times the smaller. Weights after the first update, made from
# gradients of equal weights: 1.0 to 9.8 in eval mode and 37 in train mode (ResNet, AdamW at 1e-3,
# where the sign of a tiny gradient decides; 9.4 of this would do, as `ROUNDING_RATIO` is on top),
# and 1.0 to 1.3 over all weights of a small CNN under five optimizers.
FIRST_UPDATE_ASYMMETRY = 32.0
# Later, over ten iterations, the native difference is up to 5.3 times the smaller own distance in a
# BERT (AdamW at 3e-5), 5.4 in a ResNet (SGD), 44 in a small CNN (Adam at 1e-3), and 525 and 728 in
# a ResNet under AdamW at 1e-3, where one side's drift is an iteration ahead. One side in float16
# begins at 8192, in bfloat16 at 65536. `ROUNDING_RATIO` times this is what may be: 600 stands for
# 2400, the geometric middle of 728 and 8192. One late batch in float16 was seen at 2880 under SGD
# and at 1330 under AdamW; the latter isn't told from drift. A unit that flips beats any ratio: see
# `flips`.
DRIFT_ASYMMETRY = 600.0
# One side's own distance can be exactly zero (an embedding lookup, a value the dtype holds
# exactly). Then rounding is bounded by one rounding of the input and one of the result on each
# side.
FLOOR_EPS = 4.0
# A single number (a loss, a norm, a clip coefficient) has no statistics: one side's own distance is
# small by luck as often as not. It is a reduction over n elements, and summing pairwise loses up to
# log2(n) roundings: 27 for the 1.1e8 weights of a BERT base. Seen: 5.6 for a clip coefficient of
# faithful sides.
SCALAR_EPS = 32.0
# A handful of numbers has little more: one side's are all near their twins by luck. Of n numbers
# that sum to zero n - 1 are free, and by chance all are r times too small in r^-(n - 1) of cases,
# so what two may is taken to the root of n - 1: as unlikely for each n. Torch against Paddle over
# 1800 small networks (`scripts/measure_few.py`, docs/benchmarks.md): two numbers needed more than 1
# in 0.7 % of pairs and 12.6 at the most, so 16, the next power of two; three to eight 1.3 at the
# most, where this leaves 4 to 1.5; more than eight 1.2, in 7 of 52,500. In a faithful BERT base a
# classifier's two biases needed 1.06. A side in float16 begins at 8192 over `ROUNDING_RATIO`.
FEW_ELEMENTS = 8
FEW_ASYMMETRY = 16.0
# The float32 norm kernels behind a clip coefficient lose more than that, and unlike each other:
# torch is off by up to 1.3e-3 over 23 million elements, so twice that, rounded up.
CLIP_COEFFICIENT = Tolerance(
    3e-3, 0.0, "float32 norm kernels are off by 1.3e-3 over 23 million elements"
)

# Adam's second moment takes 1 - beta2 of each squared gradient; as Paddle keeps beta2 in float32,
# that is off by 1.3e-5 for 0.999 (at most 3e-5 for any beta2 up to it), on every element alike, and
# the update by up to as much (seen: 1.2e-5, a ResNet-18 under AdamW).
MOMENT = Tolerance(3e-5, 0.0, "1 - beta2 of 0.999 is off by 1.3e-5 in float32")

# Relative Frobenius norm without twins. Across frameworks float32 activations of faithful ports
# differ by 1.5e-7 typically and up to 1e-6 after dozens of layers, and the mildest gradient
# defects of interest by 5e-4; 1e-5 keeps a factor of ten from the former and fifty from the
# latter. float16 and bfloat16: the same 84 units of spacing would excuse 8 % and 66 %, so they get
# two units, one for the rounded input and one for the rounded result; over the benign rewrites of
# the fault matrix, three layers deep, activations differ by up to 2.0e-3 and 1.5e-2. float64: the
# twin constant.
RELATIVE = {"float64": TWIN_RELATIVE, "float32": 1e-5, "float16": 2e-3, "bfloat16": 1.6e-2}
# First gradients of the same rewrites differ by up to 3.3e-6 in float32, within the above, but by
# 5.8e-3 in float16 and 3.3e-2 in bfloat16, 6.0 and 4.3 units: eight, the next power of two.
RELATIVE_GRADIENT = {"float16": 8e-3, "bfloat16": 6.4e-2}
_ORIGIN = {
    "float64": "faithful ports agree to 1e-9 with room for constants kept in float32",
    "float32": "faithful ports differ by up to 1e-6 across frameworks; ten times that",
    "float16": "two units of float16 rounding (eps 9.8e-4)",
    "bfloat16": "two units of bfloat16 rounding (eps 7.8e-3)",
}
# Without twins a tensor that is zero in theory is float noise; a tenth of the relative tolerance,
# taken of the tensors around it. Measured: the gradient of a key bias in float32 is below 1e-6 of
# its siblings'.
SCALE_SHARE = 0.1


def asymmetry_of(n_elements: int, asymmetry: float) -> float:
    """How many times the smaller own distance the larger may count: more for few elements.

    >>> asymmetry_of(2, 1.0), asymmetry_of(3, 1.0), asymmetry_of(9, 1.0), asymmetry_of(2, 600.0)
    (16.0, 4.0, 1.0, 600.0)
    """
    if not 1 < n_elements <= FEW_ELEMENTS:
        return asymmetry
    return max(asymmetry, math.pow(FEW_ASYMMETRY, 1.0 / (n_elements - 1)))


def epsilon(*dtypes: str) -> float:
    """Spacing at 1.0 of the finest of the named float dtypes; 0.0 if there is none.

    >>> epsilon("float32", "bfloat16")
    1.1920928955078125e-07
    """
    bits = [MANTISSA_BITS.get(_real(name)) for name in dtypes]
    return 2.0 ** -max(n for n in bits if n is not None) if any(bits) else 0.0


def for_dtype(
    reference: str,
    *,
    scale: float = 0.0,
    relative: float | None = None,
    is_gradient: bool = False,
) -> Tolerance:
    """What a pair without float64 twins may differ by: the reference's dtype decides, for else a
    candidate could loosen its own tolerance by running lower.

    Args:
        reference: dtype name as in `Measurement.dtype_reference`. Floats without a measured
            tolerance (fp8) get the bfloat16 tolerance, which is strict for them; integers and
            bools zero.
        scale: typical Frobenius norm of tensors of the same kind and size around this one (see
            `typical_norm`); 0 where nothing is known. It sets the floor for tensors that are zero
            in theory.
        relative: the user's own relative tolerance, which then replaces the measured one.
        is_gradient: it came through the backward pass too, which costs low dtypes more.
    """
    name = _real(reference)
    if relative is not None:
        return Tolerance(relative, relative * SCALE_SHARE * scale, "given by the user")
    if name not in RELATIVE:
        return Tolerance(0.0, 0.0, "integers and bools must be equal")
    if is_gradient and name in RELATIVE_GRADIENT:
        of_gradient = RELATIVE_GRADIENT[name]
        origin = f"{name} gradients: eight units of {name} rounding"
        return Tolerance(of_gradient, of_gradient * SCALE_SHARE * scale, origin)
    return Tolerance(
        RELATIVE[name], RELATIVE[name] * SCALE_SHARE * scale, f"{name}: {_ORIGIN[name]}"
    )


def typical_norm(norms: Iterable[float]) -> float:
    """The `scale` of a group of like tensors: the median of their norms; 0.0 for none.

    Group by kind and number of elements (all bias gradients of one width, say). Zeros and what is
    not finite are left out; a few members that vanish in theory don't move a median.

    >>> typical_norm([1e-9, 2.0, 3.0])
    2.0
    """
    return statistics.median([n for n in norms if math.isfinite(n) and n > 0] or [0.0])


def _real(name: str) -> str:
    """The dtype whose constants apply: complex64 is float32, fp8 no finer than bfloat16."""
    name = {"complex64": "float32", "complex128": "float64"}.get(name, name)
    return "bfloat16" if name.startswith("float8") else name
