"""What the padding of a convolution holds: zeros, or the image reflected, repeated, wrapped."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_MODES = {
    None: "zeros (padding_mode='zeros')",
    1: "the image reflected (padding_mode='reflect')",
    2: "its edge repeated (padding_mode='replicate')",
    3: "the other end of the image (padding_mode='circular')",
}


def _set(_zeros: Numbers, mode: Value, _reading: Reading) -> Numbers:
    return np.asarray(float(mode))


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (1, 2, 3)


def _tell(turned: Turned) -> Words:
    ours, theirs = _MODES[turned.reference], _MODES[turned.candidate]
    return Words(
        f"the convolution pads with {theirs}, the reference with {ours}", f"pad with {ours}"
    )


RULE = Knob(
    name="conv-padding-mode",
    line="a convolution pads with zeros on one side, with the image itself on the other",
    families=("conv",),
    acts={"padding mode": _set},
    values=_values,
    tell=_tell,
)
