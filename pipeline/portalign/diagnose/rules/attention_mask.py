"""Which places are seen: a causal or a padding mask missing, inverted, off by one."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_CAUSAL = "a causal mask"


def _mask(scores: Numbers, mask: Value, reading: Reading) -> Numbers:
    for part in mask:
        if not part[0].startswith("late "):
            scores = scores + _added(part, scores, reading)
    return scores


def _mask_weights(weights: Numbers, mask: Value, reading: Reading) -> Numbers:
    for kind, value in mask:
        if kind.startswith("late "):
            added = _added((kind.removeprefix("late "), value), weights, reading)
            weights = np.where(added == 0, weights, 0.0)
    return weights


def _added(part: tuple[str, Value], scores: Numbers, reading: Reading) -> Numbers:
    kind, value = part
    places = np.arange(scores.shape[-1])
    ahead = places[None, :] - places[:, None]
    if kind == "causal":
        return np.where(ahead > value, -np.inf, 0.0)
    added = reading.tensors[f"mask {value}"]
    if kind == "inverted":
        return np.where(added == 0, -np.inf, 0.0)
    return added


def _usual(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    names = _names(reading)
    yield from ((("given", name),) for name in names)
    yield (("causal", 0),)
    yield from ((("causal", 0), ("given", name)) for name in names)


def _values(reading: Reading, chosen: Chosen) -> Iterable[Value]:
    names = _names(reading)
    yield from _usual(reading, chosen)
    yield from ((("causal", n),) for n in (1, -1))
    yield from ((("inverted", name),) for name in names)
    yield (("late causal", 0),)
    yield from ((("late given", name),) for name in names)


def _names(reading: Reading) -> list[str]:
    return [name.removeprefix("mask ") for name in reading.tensors if name.startswith("mask ")]


def _tell(turned: Turned) -> Words:
    ours, theirs = _said(turned.reference), _said(turned.candidate)
    if turned.reference and not turned.candidate:
        claim = f"the attention has no mask, the reference has {ours}"
    elif turned.candidate and not turned.reference:
        claim = f"the attention has {theirs}, the reference has no mask"
    else:
        claim = f"the attention has {theirs}, the reference {ours}"
    return Words(claim, f"give the attention {ours if turned.reference else 'no mask'}")


def _said(mask: Value) -> str:
    return " and ".join(_part(*part) for part in mask or ()) or "no mask"


def _part(kind: str, value: Value) -> str:
    if kind == "causal":
        off = {0: "", 1: " that lets one place of the future through", -1: " that hides itself"}
        return f"{_CAUSAL}{off[value]}"
    if kind.startswith("late "):
        return f"{_part(kind.removeprefix('late '), value)} laid on after the softmax"
    said = f"the mask {value}"
    return f"{said} inverted" if kind == "inverted" else said


RULE = Knob(
    name="attention-mask",
    line="the attention mask: causal or padding missing, inverted, off by one or late",
    families=("attention",),
    acts={"mask": _mask, "weights": _mask_weights},
    values=_values,
    tell=_tell,
    is_wide=True,
    usual=_usual,
)
