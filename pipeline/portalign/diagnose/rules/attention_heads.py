"""The number of heads that the width is cut into."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_USUAL = (64, 32, 128, 16, 80, 96, 256, 8)  # widths of a head, the commonest first


def _set(_one: Numbers, n_heads: Value, _reading: Reading) -> Numbers:
    return np.asarray(float(n_heads))


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    widths = [reading.tensors[name].shape[-1] for name in ("query", "key")]
    common = math.gcd(*widths)
    each = [width for width in range(2, common + 1) if common % width == 0]
    each.sort(
        key=lambda width: (width not in _USUAL, _USUAL.index(width) if width in _USUAL else 0)
    )
    return [widths[0] // width for width in each]


def _tell(turned: Turned) -> Words:
    ours, theirs = turned.reference or 1, turned.candidate or 1
    return Words(
        f"the attention has {theirs} heads, the reference {ours}",
        f"set the number of heads to {ours}",
        {"reference heads": float(ours), "candidate heads": float(theirs)},
    )


RULE = Knob(
    name="attention-heads",
    line="another number of attention heads",
    families=("attention",),
    acts={"heads": _set},
    values=_values,
    tell=_tell,
    is_wide=True,
)
