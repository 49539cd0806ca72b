"""A product whose running sum is rounded on one side: accumulation in bfloat16 or float16."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.low import LOW, through

_SIZES = (1, 8, 16, 32, 64, 128, 256, 512, 1024)  # numbers that are summed before it is rounded
_PARTS = (2, 3, 4, 8)  # into which the sum is cut


def _accumulate(made: Numbers, value: Value, reading: Reading) -> Numbers:
    """The product again, part by part: what was summed up to there is rounded each time."""
    name, size = value
    x, weight = reading.tensors["x"], reading.tensors["weight"]
    if made.shape != (*x.shape[:-1], len(weight)):
        raise ValueError("another product")
    total = np.zeros(made.shape)
    for start in range(0, x.shape[-1], size):
        part = slice(start, start + size)
        total = through(total + x[..., part] @ weight[:, part].T, name)
    return total


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    width = reading.tensors["x"].shape[-1]
    sizes = {size for size in _SIZES if size < width}
    sizes |= {width // n for n in _PARTS if width % n == 0 and width > n}
    few = sorted(sizes - {1}, reverse=True) + ([1] if width <= _SIZES[4] else [])
    return [(name, size) for size, name in product(few, LOW)]


def _tell(turned: Turned) -> Words:
    side, ways = (
        ("candidate", turned.candidate) if turned.candidate else ("reference", turned.reference)
    )
    said = " or ".join(f"{name} after every {size} products" for name, size in ways)
    return Words(
        f"the {side} rounds the running sum of a product to {said}",
        "sum up in float32 (torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction and "
        "allow_fp16_reduced_precision_reduction, or the code that adds up the parts)",
    )


RULE = Knob(
    name="sum-precision",
    line="the running sum of a product is rounded to bfloat16 or float16 on one side",
    families=("linear",),
    acts={"product": _accumulate},
    values=_values,
    tell=_tell,
    is_precision=True,
)
