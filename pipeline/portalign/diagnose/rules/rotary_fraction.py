"""The share of a head that is rotated."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_OLD = "half of the angles set to 0"


def _set(whole: Numbers, share: Value, _reading: Reading) -> Numbers:
    return whole if share == _OLD else np.asarray(float(share))


def _half(powers: Numbers, share: Value, _reading: Reading) -> Numbers:
    if share != _OLD:
        return powers
    still = np.arange(len(powers)) >= len(powers) // 2
    return np.where(still, np.inf, powers)  # base ** -inf is 0: no rotation


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (0.5, 0.25, 0.75, 0.4, _OLD)


def _share(share: float) -> str:
    return "in its whole width" if share == 1.0 else f"in {share:g} of its width"


def _tell(turned: Turned) -> Words:
    ours, theirs = (
        f"with {share}" if share == _OLD else _share(share)
        for share in (turned.reference, turned.candidate)
    )
    return Words(
        f"a head is rotated {theirs}, in the reference {ours}",
        f"rotate a head {ours} (partial_rotary_factor)",
    )


RULE = Knob(
    name="rotary-fraction",
    line="the share of a head that is rotated",
    families=("attention",),
    acts={"rotary fraction": _set, "rotary powers": _half},
    values=_values,
    tell=_tell,
    neutral=1.0,
)
