"""A bias of other values than the one handed over, or one where the other side has none."""

from __future__ import annotations

from collections.abc import Iterable

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.families.norm import CHANNELS
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_ROWS = 4  # rows that must all differ by the same vector


def _shift(made: Numbers, _is_on: Value, reading: Reading) -> Numbers:
    """What was computed plus the one vector that brings it nearest to what was made."""
    axis = _axis(reading)
    others = tuple(each for each in range(made.ndim) if each != axis % made.ndim)
    if made.shape != reading.view.target.shape:
        raise ValueError("another shape")
    shifted: Numbers = made + (reading.view.target - made).mean(axis=others, keepdims=True)
    return shifted


def _axis(reading: Reading) -> int:
    """Of the channels: the second of images, else the last."""
    return 1 if reading.tensors["weight"].ndim > 2 or CHANNELS in reading.names else -1


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    target = reading.view.target
    if "weight" not in reading.tensors or not target.ndim:
        return ()
    width = target.shape[_axis(reading) % target.ndim]
    return (True,) if target.size >= _ROWS * width else ()


def _tell(turned: Turned) -> Words:
    side = "candidate" if turned.candidate else "reference"
    has_bias = "bias" in turned.reading.tensors
    return Words(
        f"the {side} adds another bias than the one it was given"
        if has_bias
        else f"the {side} adds a bias where there is none in its weights",
        "load the bias: it may be still as initialised" if has_bias else "look where it comes from",
    )


RULE = Knob(
    name="bias-unrelated",
    line="a bias of other values is added: not loaded, or one where there is none",
    families=("linear", "conv", "norm"),
    acts={"output": _shift},
    values=_values,
    tell=_tell,
    neutral=False,
    is_odd=True,
)
