"""Dropout that is left on for the attention weights."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.attention_core import heads, repeated
from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.rules.dropout_on import factor_of

_SEEN = 1e-6  # weights below it are right to too few digits once they are solved for
_SAME = 1e-6  # of a weight: solving in float64 leaves some 1e-9 of one that is seen


def _drop(weights: Numbers, _is_on: Value, reading: Reading) -> Numbers:
    """Weights [batch, heads, queries, keys], zero or scaled up as those that made the context.

    Raises:
        ValueError: the values don't determine them, or they aren't these weights dropped out.
    """
    value = reading.tensors["value"]
    width = reading.tensors["query"].shape[-1] // weights.shape[1]
    split = repeated(heads(value, width), weights.shape[1], lambda _stage, order: order)
    context = heads(reading.view.target, width)
    if split.shape[2] > width or context.shape != split.shape:
        raise ValueError("more keys than a head is wide")
    solved = context @ np.linalg.pinv(split)
    is_seen = weights > _SEEN
    factor = factor_of(weights[is_seen], solved[is_seen])
    if factor is None:
        raise ValueError("no dropout of these weights")
    keep = np.where(is_seen, solved > 0.5 * weights, True)
    if np.abs(solved - np.where(keep, factor * weights, 0.0))[is_seen].max() > _SAME:
        raise ValueError("no dropout of these weights")
    dropped: Numbers = np.where(keep, factor * weights, 0.0)
    return dropped


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (True,)


def _tell(turned: Turned) -> Words:
    side = "candidate" if turned.candidate else "reference"
    return Words(
        f"dropout is left on in the {side}'s attention: weights are zero at random, the others "
        "scaled up",
        "call model.eval(), and pass a dropout of 0 to the attention where it is called as a "
        "function (dropout_p=self.dropout if self.training else 0.0)",
    )


RULE = Knob(
    name="attention-dropout",
    line="dropout of the attention weights is left on (train for eval mode)",
    families=("attention",),
    acts={"weights": _drop},
    values=_values,
    tell=_tell,
    neutral=False,
    is_odd=True,
)
