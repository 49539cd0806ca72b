"""What was explained as the frameworks' own difference, and how near a recomputed value must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from portalign.compare.tolerance import FLOOR_EPS, epsilon, for_dtype
from portalign.diagnose.known.updates import Numbers
from portalign.findings import Finding
from portalign.records import Array


@final
@dataclass(frozen=True, slots=True)
class Explained:
    """Findings, and the labels of the links of iterations that they explain."""

    findings: tuple[Finding, ...] = ()
    labels: frozenset[str] = frozenset()


def clause(sentences: str) -> str:
    """Sentences as a clause of another.

    >>> clause("It is so. That too.")
    'It is so; that too'
    """
    first, *rest = sentences.rstrip(".").split(". ")
    return "; ".join([first, *(each[0].lower() + each[1:] for each in rest)])


def misfit(made: Numbers, recorded: Array) -> float:
    """Distance of a recomputed array to the recorded one, relative to that one's norm.

    0.0 for equal ones, inf for unequal shapes and where NaN or infinity is in either.
    """
    if made.shape != recorded.shape:
        return float("inf")
    wide = np.asarray(recorded, np.float64)
    found, size = float(np.linalg.norm(made - wide)), float(np.linalg.norm(wide))
    if found == 0.0:
        return 0.0
    return found / size if size and np.isfinite(found) else float("inf")


def fits(made: Numbers, recorded: Array, *, rounding: float = 0.0) -> bool:
    """Whether a recomputed array is the recorded one but for the rounding of its dtype.

    Args:
        rounding: norm of what was added and taken away again on the way, which rounds it.
    """
    wide = np.asarray(recorded, np.float64)
    if made.shape != wide.shape:
        return False
    allowed = for_dtype(recorded.dtype.name).relative * float(np.linalg.norm(wide))
    allowed += FLOOR_EPS * epsilon(recorded.dtype.name) * rounding
    return bool(float(np.linalg.norm(made - wide)) <= allowed)  # NaN is not
