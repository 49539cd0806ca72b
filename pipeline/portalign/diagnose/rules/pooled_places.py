"""Another place of a sequence, or another way to pool it: last for first, padding counted."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.words import near

_FIRST, _LAST, _MEAN, _SUM, _MAX = "the first", "the last", "the mean", "the sum", "the greatest"
_MASKED_MEAN, _MASKED_LAST = "the mean without padding", "the last before the padding"
_ZEROS = "zeros"


def _pick(x: Numbers, ways: Value, reading: Reading) -> Numbers:
    return np.concatenate([_one(x, way, reading) for way in ways], axis=-1)


def _one(x: Numbers, way: str, reading: Reading) -> Numbers:
    """[..., places, width] -> [..., width]"""
    if way in (_MASKED_MEAN, _MASKED_LAST):
        mask = reading.tensors["mask"]
        if way == _MASKED_MEAN:
            mean: Numbers = (x * mask[..., None]).sum(-2) / mask.sum(-1, keepdims=True)
            return mean
        last = x.shape[-2] - 1 - np.argmax(mask[..., ::-1], axis=-1)
        return np.take_along_axis(x, last[..., None, None], axis=-2)[..., 0, :]
    if way == _ZEROS:
        return np.zeros_like(x[..., 0, :])
    plain: dict[str, Numbers] = {
        _FIRST: x[..., 0, :],
        _LAST: x[..., -1, :],
        _MEAN: x.mean(-2),
        _SUM: x.sum(-2),
        _MAX: x.max(-2),
    }
    return plain[way]


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    ways = [_FIRST, _LAST, _MEAN, _SUM, _MAX]
    if "mask" in reading.tensors:
        ways += [_MASKED_MEAN, _MASKED_LAST]
    n_parts = int(reading.tensors["parts"])
    return product([*ways, _ZEROS] if n_parts == 1 else ways, repeat=n_parts)


def _tell(turned: Turned) -> Words:
    what = near(turned.reading.names["x"], turned.site.origin.path)
    what += f" along axis {turned.reading.names['axis']}"
    ours, theirs = (" beside ".join(ways) for ways in (turned.reference, turned.candidate))
    return Words(f"{theirs} of {what} is taken, in the reference {ours}", f"take {ours} of {what}")


RULE = Knob(
    name="pooled-places",
    line="another place of a sequence is taken, or it is pooled otherwise (padding counted)",
    families=("pick",),
    acts={"pick": _pick},
    values=_values,
    tell=_tell,
    is_wide=True,
)
