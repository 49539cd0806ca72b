"""What a pool takes of its window: the mean with or without the padding, or the greatest."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_WITHOUT = "averages without the padding (count_include_pad=False, paddle: exclusive=True)"
_GREATEST = "takes the greatest"
_MEAN = "averages with the padding (count_include_pad=True, paddle: exclusive=False)"


def _pool(window: Numbers, way: Value, _reading: Reading) -> Numbers:
    if way == _GREATEST:
        greatest: Numbers = np.nan_to_num(window, nan=-np.inf).max(axis=-1)
        return greatest
    mean: Numbers = np.nansum(window, axis=-1) / (~np.isnan(window)).sum(axis=-1)
    return mean


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (None, _WITHOUT, _GREATEST)


def _tell(turned: Turned) -> Words:
    ways = [way or _MEAN for way in (turned.reference, turned.candidate)]
    return Words(
        f"the pool {ways[1]} where the reference {ways[0]}",
        f"use the pool that {ways[0]}",
    )


RULE = Knob(
    name="pool-kind",
    line="a pool counts its padding on one side only, or takes the mean against the greatest",
    families=("pool",),
    acts={"pool": _pool},
    values=_values,
    tell=_tell,
    is_wide=True,
)
