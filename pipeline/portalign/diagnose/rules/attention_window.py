"""A sliding window: how many places back a query sees."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_ALL = 32  # up to so many places every window is tried, then halves, quarters and their neighbours


def _mask(scores: Numbers, window: Value, _reading: Reading) -> Numbers:
    places = np.arange(scores.shape[-1])
    is_far = places[:, None] - places[None, :] >= window
    return np.where(is_far, -np.inf, scores)


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    n_places = reading.view.target.shape[1]
    if n_places <= _ALL:
        return range(2, n_places)
    near = {n_places // part + off for part in (2, 4, 8, 16) for off in (-1, 0, 1)}
    return sorted({*near, 16, 32, 64, 128} - {n for n in near if n < 2}, reverse=True)


def seen(window: Value) -> str:
    """What a query sees, in words."""
    return "all places" if window is None else f"a window of {window} places"


def _tell(turned: Turned) -> Words:
    ours, theirs = seen(turned.reference), seen(turned.candidate)
    return Words(
        f"the attention sees {theirs}, in the reference {ours}",
        f"let a query see {ours}",
        {
            name: float(window)
            for name, window in (
                ("reference window", turned.reference),
                ("candidate window", turned.candidate),
            )
            if window is not None
        },
    )


RULE = Knob(
    name="attention-window",
    line="a sliding window is missing or of another length",
    families=("attention",),
    acts={"mask": _mask},
    values=_values,
    tell=_tell,
)
