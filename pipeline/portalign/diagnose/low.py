"""Narrow types as arithmetic on float64: what is left of a number that went through one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import ml_dtypes
import numpy as np

from portalign.diagnose.evidence import Numbers

LOW: Mapping[str, type] = MappingProxyType({"bfloat16": ml_dtypes.bfloat16, "float16": np.float16})


def through(values: Numbers, name: str) -> Numbers:
    """Values rounded through a narrow type, by way of float32 as both frameworks do."""
    return np.asarray(values.astype(np.float32).astype(LOW[name]), np.float64)
