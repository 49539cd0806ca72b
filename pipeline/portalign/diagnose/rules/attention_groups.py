"""Grouped keys and values repeated the wrong way: tiled, not each one in a row."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words


def _tile(group: Numbers, _is_on: Value, _reading: Reading) -> Numbers:
    tiled: Numbers = np.arange(len(group)) % (group.max() + 1)
    return tiled


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (True,)


def _tell(turned: Turned) -> Words:
    side = "candidate" if turned.candidate else "reference"
    return Words(
        f"the {side} tiles the grouped keys and values (0 1 0 1), the other side repeats each one "
        "(0 0 1 1)",
        "use repeat_interleave over the heads" if turned.candidate else "tile over the heads",
    )


RULE = Knob(
    name="attention-groups",
    line="grouped keys and values are repeated the wrong way",
    families=("attention",),
    acts={"groups": _tile},
    values=_values,
    tell=_tell,
    neutral=False,
)
