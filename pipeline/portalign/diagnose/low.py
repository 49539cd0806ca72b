"""Narrow types as arithmetic on float64: what is left of a number that went through one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import ml_dtypes
import numpy as np

from portalign.diagnose.evidence import Numbers

TF32 = "TF32"  # float32 with 10 bits of mantissa, as tensor cores take it
TF32_CUT = "TF32, cut off"  # the same without rounding: the bits below are ignored
LOW: Mapping[str, type] = MappingProxyType({"bfloat16": ml_dtypes.bfloat16, "float16": np.float16})


def through(values: Numbers, name: str) -> Numbers:
    """Values rounded through a narrow type, by way of float32 as both frameworks do."""
    single = values.astype(np.float32)
    if name not in (TF32, TF32_CUT):
        return np.asarray(single.astype(LOW[name]), np.float64)
    # half of the last kept bit is added, the 13 bits below are cut off: ties go away from zero
    half = np.uint32(0x1000 if name == TF32 else 0)
    bits = (single.view(np.uint32) + half) & np.uint32(0xFFFFE000)
    return np.asarray(bits.view(np.float32), np.float64)


def told(names: Sequence[str]) -> str:
    """Narrow types that can't be told apart, in words.

    >>> told(["bfloat16"]), told(["float16", TF32])
    ('bfloat16', '10 bits of mantissa (TF32 or float16, which these numbers can not tell apart)')
    """
    if {*names} == {TF32, "float16"}:
        return "10 bits of mantissa (TF32 or float16, which these numbers can not tell apart)"
    return " or ".join(names)
