"""Judge what two sides drew: how likely an element stays, of which distribution, in which shape.

The numbers themselves are the reference's on both sides (`stages.draws`); a pair of this kind holds
the terms of one draw and its shape, [*terms, *shape].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from portalign.records import Array, TensorKey
from portalign.results import Comparison, Outcome, Tolerance

# A rate that one side holds in float32 is off by 3e-8; two rates that are meant to differ, by 1e-3
# and more.
TERMS = Tolerance(1e-6, 0.0, "a rate kept in float32 is off by 3e-8")
_N_TERMS = {"keep": 1, "uniform": 2, "normal": 2}
_WORDS = {
    "keep": "keeps an element with probability {:g}",
    "uniform": "draws from {:g} to {:g}",
    "normal": "draws with mean {:g} and deviation {:g}",
}


def as_draw(found: Comparison, reference: Array, candidate: Array) -> Comparison:
    """Say in words of random numbers how a pair of draws differs; one that agrees stays."""
    if found.outcome is not Outcome.FAIL:
        return found
    texts = [_said(found.key, [float(v) for v in array]) for array in (reference, candidate)]
    return replace(
        found,
        reason=f"The reference {texts[0]}, the candidate {texts[1]}: they can't drop the same.",
    )


def _said(key: TensorKey, values: Sequence[float]) -> str:
    n_terms = _N_TERMS.get(key.slot, 0)
    shape = [int(value) for value in values[n_terms:]]
    words = _WORDS.get(key.slot, "draws").format(*values[:n_terms])
    return f"{words} in shape {shape}"
