"""What an attention rounds through bfloat16 or float16 on one side: operands, scores, weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.low import LOW, through

_PLACES = {  # what is rounded, in words, and the stages where that is
    "its attention scores": {"scores"},
    "query and key": {"operand"},
    "query, key and value": {"operand", "value"},
    "its attention weights": {"weights"},
    "query, key, value and what comes out": {"operand", "value", "context"},
    "all of its attention": {"operand", "value", "scores", "weights", "context"},
}


def _rounding(stage: str) -> Callable[[Numbers, Value, Reading], Numbers]:
    def act(values: Numbers, value: Value, _reading: Reading) -> Numbers:
        name, what = value
        return through(values, name) if stage in _PLACES[what] else values

    return act


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return [(name, what) for what, name in product(_PLACES, LOW)]


def _tell(turned: Turned) -> Words:
    side = "candidate" if turned.candidate else "reference"
    ways = turned.candidate or turned.reference
    said = ", or ".join(f"{what} through {name}" for name, what in ways)
    return Words(
        f"the {side} rounds {said}",
        "keep it in full precision up to the output: no cast, no autocast around it"
        if turned.candidate
        else "round it as the reference does",
    )


RULE = Knob(
    name="attention-precision",
    line="query and key, scores or weights of an attention go through bfloat16 or float16",
    families=("attention",),
    acts={stage: _rounding(stage) for stage in sorted(set().union(*_PLACES.values()))},
    values=_values,
    tell=_tell,
    is_precision=True,
)
