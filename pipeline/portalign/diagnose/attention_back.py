"""What an attention core sends back to query, key and value, written out for the members it has.

The core is found by what it made in the forward pass; its backward then needs no search. Members
that do anything beside scores, mask and softmax over the keys have none here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from portalign.diagnose.attention_core import (
    heads,
    operands,
    raw_scores,
    repeated,
    rotated,
    scored,
    softmax,
)
from portalign.diagnose.confirm import FALL
from portalign.diagnose.evidence import Numbers, Site, Source, View
from portalign.diagnose.explain import member
from portalign.diagnose.families.attention import FAMILY
from portalign.diagnose.family import Reading, Run, running
from portalign.diagnose.registry import knobs_of
from portalign.diagnose.space import Budget, Space
from portalign.findings import Origin, OriginKind

_NUDGE = 1e-5  # of a central difference of scale, cap and mask, element by element
_OTHERS = {"attention-softmax", "attention-merge", "attention-operands", "attention-packing"}


def backs(
    made: Source, earlier: tuple[Source, ...], given: Numbers, name: str
) -> Iterator[Numbers]:
    """Gradients of a tensor that is query, key or value of an attention core.

    Args:
        made: the context, as the output projection got it.
        earlier: what was there before, nearest first.
        given: the gradient of the context.
        name: of the tensor; a core that it is no operand of isn't looked at, for a search is dear.
    """
    if made.array.ndim != 3:
        return
    view = View(made.array, (), earlier, {}, made.path, "")
    site = Site(Origin("attention", OriginKind.GLUE, made.path), view, view)
    knobs = [each for each in knobs_of(FAMILY.name) if not each.is_precision]
    for reading, _ in FAMILY.readings(site):
        which = next((key for key, told in reading.names.items() if told == name), None)
        if which is None:
            continue
        chosen = member(Space(FAMILY, knobs, reading, good=FALL, budget=Budget()))
        if chosen is None or any(chosen.get(name) for name in _OTHERS):
            continue
        yield _back(reading, running(knobs, reading, chosen), given)[which]


def _back(reading: Reading, run: Run, given: Numbers) -> dict[str, Numbers]:
    query, key, value = operands(reading, run)  # [batch, heads, time, width]
    tables = reading.tensors.get("cos"), reading.tensors.get("sin")
    raw = raw_scores(reading, run)

    weights = softmax(scored(raw, run), -1)
    of_context = heads(given, value.shape[-1])
    of_weights = of_context @ repeated(value, query.shape[1], run).swapaxes(-1, -2)
    of_scores = weights * (of_weights - (of_weights * weights).sum(-1, keepdims=True))
    with np.errstate(all="ignore"):
        steep = (scored(raw + _NUDGE, run) - scored(raw - _NUDGE, run)) / (2 * _NUDGE)
    of_raw = of_scores * np.nan_to_num(steep)
    turned = [rotated(each, which, run, tables) for each, which in ((query, "query"), (key, "key"))]

    def turned_back(x: Numbers, which: str) -> Numbers:
        return rotated(x, which, _mirrored(run), tables)

    of_key = _gathered(of_raw.swapaxes(-1, -2) @ turned[0], key.shape[1], run)
    return {
        "query": _merged(turned_back(of_raw @ repeated(turned[1], query.shape[1], run), "query")),
        "key": _merged(turned_back(of_key, "key")),
        "value": _merged(_gathered(weights.swapaxes(-1, -2) @ of_context, value.shape[1], run)),
    }


def _mirrored(run: Run) -> Callable[[str, Numbers], Numbers]:
    """The same run with rotary angles the other way round, which undoes a rotation."""
    return lambda stage, values: (-1.0 if stage == "rotary sine" else 1.0) * run(stage, values)


def _gathered(x: Numbers, n_heads: int, run: Run) -> Numbers:
    """Sums over the heads that share one of `n_heads`."""
    groups = repeated(np.arange(float(n_heads)).reshape(1, n_heads), x.shape[1], run)[0]
    parts = [x[:, groups == at].sum(1) for at in range(n_heads)]
    return np.stack(parts, axis=1)


def _merged(x: Numbers) -> Numbers:
    return np.asarray(x.swapaxes(1, 2).reshape(len(x), x.shape[2], -1))
