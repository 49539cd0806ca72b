"""Read a member of an attention core off what it made, where its weights can be solved for.

The context is the weights times the values: with no more keys than a head is wide that is solved
for the weights, and their logarithms are the scores up to one number per query. So heads, mask and
window are seen, and scale and soft-cap fitted to scores; nothing has to be guessed together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from portalign.diagnose.attention_core import heads, operands, raw_scores, repeated
from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Value, running
from portalign.diagnose.rules.attention_packing import packings
from portalign.diagnose.rules.attention_slopes import usual_slopes
from portalign.diagnose.soft_cap import EXACT, Fit, fit_scores
from portalign.diagnose.words import nice

# Solving in float64 leaves 1e-16 times the condition of the values, 1e-13 in practice.
_LEFT = 1e-9  # of the context, relative, where weights explain it; also the least weight seen
_DEPENDENT = 1e-6  # part of a value row that is no mixture of earlier ones: the same token again
_FEW = 3  # places, with fewer there is nothing to fit
_NUMBERS = 3  # simple numbers tried for each fitted one


def members(reading: Reading, knobs: Sequence[Knob]) -> Iterator[Chosen]:
    """Members that the solved weights agree with, the likeliest first."""
    by_name = {knob.name: knob for knob in knobs}
    for n_heads in by_name["attention-heads"].values(reading, {}):
        start = {"attention-heads": n_heads}
        for packing in packings(reading, start):
            yield from _of_heads(reading, knobs, {**start, "attention-packing": packing})


def _of_heads(reading: Reading, knobs: Sequence[Knob], start: Chosen) -> Iterator[Chosen]:
    weights = _weights(reading, knobs, start)
    best = None if weights is None else _best(reading, knobs, start, weights)
    if weights is None or best is None:
        return
    style, fitted = best
    for mask in _masks(reading, weights):
        for numbers in _numbers(fitted):
            yield {**style, **mask, **numbers}


def _best(
    reading: Reading, knobs: Sequence[Knob], start: Chosen, weights: Numbers
) -> tuple[Chosen, Fit] | None:
    """The rotary style, if any, under which the scores are explained best; without slopes or a cap
    if they can be.
    """
    by_name = {knob.name: knob for knob in knobs}
    raw = []
    first = _cut(reading, weights.shape[-1])
    for style in ({**start, **each} for each in _styles(reading, by_name)):
        try:
            raw.append((style, raw_scores(first, running(knobs, first, style))))
        except (ValueError, IndexError):
            continue
    best = None
    for more in ({}, {"is_sloped": True}, {"is_capped": True}):
        fits = [(style, fit) for style, each in raw if (fit := fit_scores(each, weights, **more))]
        best = min(fits, key=lambda one: one[1].left, default=None)
        if best is not None and best[1].left <= EXACT:
            return best
    return best


def _cut(reading: Reading, n: int) -> Reading:
    """Its first places."""
    tensors = {
        name: each[:, :n] if name in ("query", "key", "value") else each[..., :n, :]
        for name, each in reading.tensors.items()
        if name in ("query", "key", "value", "cos", "sin")
    }
    return replace(reading, tensors=tensors)


def _weights(reading: Reading, knobs: Sequence[Knob], chosen: Chosen) -> Numbers | None:
    """Solved attention weights of the first places, [batch, heads, queries, keys].

    NaN where the values don't determine them; None if no weights make what was made.
    """
    run = running(knobs, reading, chosen)
    try:
        value = operands(reading, run)[2]
        context = heads(reading.view.target, value.shape[-1])  # [batch, heads, time, width]
        value = repeated(value, context.shape[1], run)
    except (ValueError, IndexError, ZeroDivisionError):
        return None
    n = min(value.shape[2], value.shape[3])
    if n < _FEW or not (np.isfinite(value).all() and np.isfinite(context).all()):
        return None
    found = np.full((*context.shape[:2], n, n), np.nan)
    for b in range(len(context)):
        known = _independent(value[b, :, :n])
        if known < _FEW:
            continue
        rows, base = context[b, :, :known], value[b, :, :known]
        solved = rows @ np.linalg.pinv(base)
        left = np.linalg.norm(solved @ base - rows) / (np.linalg.norm(rows) or 1.0)
        is_share = np.abs(solved.sum(-1) - 1.0).max() <= _LEFT and solved.min() >= -_LEFT
        if not (left <= _LEFT and is_share):
            return None
        found[b, :, :known, :known] = solved
    return None if np.isnan(found).all() else found


def _independent(value: Numbers) -> int:
    """How many places come before the first whose value is a mixture of earlier ones in any head,
    as that of the same token is in a first layer.
    """
    fewest: int = value.shape[1]
    for head in value:  # [keys, width]
        diagonal = np.abs(np.diag(np.linalg.qr(head.T, mode="r")))
        dependent = np.flatnonzero(diagonal <= _DEPENDENT * np.linalg.norm(head, axis=-1))
        fewest = min([fewest, *dependent.tolist()])
    return fewest


def _styles(reading: Reading, by_name: dict[str, Knob]) -> Iterator[Chosen]:
    yield {}
    base = by_name["rotary-base"]
    bases = (
        [base.neutral] if "cos" in reading.tensors else [base.neutral, *base.values(reading, {})]
    )
    for style in by_name["rotary-style"].values(reading, {}):
        yield from ({"rotary-style": style, "rotary-base": each} for each in bases)


def _masks(reading: Reading, weights: Numbers) -> Iterator[Chosen]:
    """Masks that hide nothing a query looks at."""
    n = weights.shape[-1]
    places = np.arange(n)
    with np.errstate(invalid="ignore"):
        is_seen = (weights > _LEFT).any((0, 1))
    back = (places[:, None] - places)[is_seen]
    reach = int(back.max(initial=0)) + 1
    n_known = int((~np.isnan(weights)).any((0, 1, 3)).sum())
    given = [name.removeprefix("mask ") for name in reading.tensors if name.startswith("mask ")]
    if back.min(initial=0) >= 0:
        windows: list[Value] = [None] if reach >= n_known else [None, reach]
        for window in windows:
            yield {"attention-mask": (("causal", 0),), "attention-window": window}
    yield from ({"attention-mask": (("given", name),)} for name in given)
    yield {"attention-mask": None}
    if back.min(initial=0) >= 0:
        for name in given:
            yield {"attention-mask": (("causal", 0), ("given", name))}


def _numbers(fit: Fit) -> Iterator[Chosen]:
    for scale in _meant(fit.scale, fit):
        for cap in [None] if fit.cap is None else _meant(fit.cap, fit):
            for slopes in _slopes(fit):
                yield {
                    "attention-scale": scale,
                    "attention-cap": cap,
                    "attention-slopes": slopes,
                }


def _slopes(fit: Fit) -> Iterator[Value]:
    """The usual slopes where they are meant, else simple numbers, else what was fitted."""
    if not fit.slopes:
        yield None
        return
    usual = usual_slopes(len(fit.slopes))
    if np.allclose(fit.slopes, usual, rtol=EXACT, atol=0):
        yield usual
    yield tuple(next(nice(slope)) for slope in fit.slopes)
    yield fit.slopes


def _meant(value: float, fit: Fit) -> list[float]:
    """Simple numbers that a fitted one may stand for, and itself."""
    simple = list(nice(value))[:_NUMBERS] if fit.left <= EXACT else []
    return list(dict.fromkeys((*simple, value)))
