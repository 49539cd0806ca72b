"""The factor on the scores: 1/sqrt(width of a head), or of the whole, or none."""

from __future__ import annotations

from collections.abc import Iterable

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.words import number


def _scale(scores: Numbers, factor: Value, _reading: Reading) -> Numbers:
    scaled: Numbers = scores * factor
    return scaled


def _values(reading: Reading, chosen: Chosen) -> Iterable[Value]:
    whole = reading.tensors["query"].shape[-1]
    width = whole // (chosen.get("attention-heads") or 1)
    return (width**-0.5, whole**-0.5, 1.0 / width, width**0.5)


def _tell(turned: Turned) -> Words:
    ours, theirs = turned.reference, turned.candidate
    return Words(
        f"the attention scale is {_said(theirs)}, in the reference {_said(ours)}",
        f"multiply the scores by {ours:.9g}, once",
        {"reference scale": ours, "candidate scale": theirs},
    )


def _said(scale: float) -> str:
    """With the divisor, which is what configurations hold, unless it is seen already."""
    text, divisor = number(scale), f"{1 / scale:.6g}"
    is_seen = scale >= 1 or f"1/{divisor}" in text
    return text if is_seen else f"{text} (division by {divisor})"


RULE = Knob(
    name="attention-scale",
    line="the scale of the attention scores; both values are fitted",
    families=("attention",),
    acts={"scale": _scale},
    values=_values,
    tell=_tell,
    neutral=1.0,
    is_wide=True,
    guesses=(0.125, 1.0),
    is_log=True,
)
