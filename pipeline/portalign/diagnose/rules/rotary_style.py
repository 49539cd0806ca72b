"""Rotary positions: halves rotated against each other, neighbours, or none at all."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_STYLES = {"halves (rotate_half)": 1.0, "neighbours (interleaved)": 2.0}


def _set(_none: Numbers, style: Value, _reading: Reading) -> Numbers:
    return np.asarray(_STYLES[style])


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return _STYLES


def _tell(turned: Turned) -> Words:
    ours, theirs = turned.reference, turned.candidate
    if not theirs:
        return Words(
            f"query and key aren't rotated by their positions, in the reference by {ours}",
            f"apply rotary positions to query and key, {ours}",
        )
    if not ours:
        return Words(
            f"query and key are rotated by their positions ({theirs}), in the reference not",
            "leave rotary positions out",
        )
    return Words(
        f"rotary positions turn {theirs}, in the reference {ours}",
        f"rotate {ours}, or permute the rows of the query and key weights when they are loaded",
    )


RULE = Knob(
    name="rotary-style",
    line="rotary positions are missing, or turn neighbours instead of halves",
    families=("attention",),
    acts={"rotary style": _set},
    values=_values,
    tell=_tell,
    is_wide=True,
)
