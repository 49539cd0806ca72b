"""What a query sees whose keys are all masked: that shows which value the mask adds."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_EVEN = "all keys alike (the mask adds the lowest float, or fills with one value)"
# value -> (in words, its scores still count, keys that two masks hide are left out)
_SEEN: dict[str, tuple[str, bool, bool]] = {
    "scored": ("its keys by their scores (the mask adds a value like -1e4)", True, False),
    "scored once": ("by their scores the keys that only one of two masks hides", True, True),
    "even once": ("alike the keys that only one of two masks hides", False, True),
}


def _blind(plain: Numbers, value: Value, reading: Reading) -> Numbers:
    _, is_scored, is_once = _SEEN[value]
    left = plain if is_scored else np.zeros_like(plain)
    return np.where(_twice(plain, reading), -np.inf, left) if is_once else left.copy()


def _twice(plain: Numbers, reading: Reading) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """What lies ahead and is hidden by a given mask too, [batch or 1, 1, time, time]."""
    places = np.arange(plain.shape[-1])
    hidden = np.zeros(plain.shape[-1], bool)
    for name, mask in reading.tensors.items():
        if name.startswith("mask "):
            hidden = hidden | np.isneginf(mask)
    return hidden & (places[None, :] > places[:, None])


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    masks = [array for name, array in reading.tensors.items() if name.startswith("mask ")]
    return _SEEN if any(np.isneginf(mask).any() for mask in masks) else ()


def _tell(turned: Turned) -> Words:
    ours, theirs = (
        _SEEN[value][0] if value else _EVEN for value in (turned.reference, turned.candidate)
    )
    return Words(
        f"a query whose keys are all masked sees {theirs}, in the reference {ours}",
        "mask with the reference's value, added as often; or never let a row hide everything",
    )


RULE = Knob(
    name="attention-blind",
    line="what a query sees whose keys are all masked: the mask adds another value",
    families=("attention",),
    acts={"blind": _blind},
    values=_values,
    tell=_tell,
)
