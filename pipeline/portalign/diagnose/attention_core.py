"""The arithmetic of an attention core, from packed query, key and value to the merged heads.

Stages are named for the knobs that hang on them; without a knob it is one head without a scale, a
mask or positions.
"""

from __future__ import annotations

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Reading, Run


def compute(reading: Reading, run: Run) -> Numbers:
    """What arrives at the output projection, in the shape of what was made."""
    value = operands(reading, run)[2]
    scores = scored(raw_scores(reading, run), run)
    weights = run("softmax", scores)
    if weights is scores:
        weights = softmax(scores, -1)
    value = run("value", repeated(value, scores.shape[1], run))
    context = run("context", run("weights", weights) @ value)  # [batch, heads, time, width]
    merged = run("merge", context)
    if merged is context:
        merged = context.swapaxes(1, 2)
    return merged.reshape(reading.view.target.shape)


def scored(raw: Numbers, run: Run) -> Numbers:
    """Products as the softmax gets them: scaled, capped, with biases and masks."""
    scores = run("scores", run("scale", raw))
    plain = run("bias", run("cap", scores))
    return _with_blind_rows(run("mask", plain), plain, run)


def _with_blind_rows(masked: Numbers, plain: Numbers, run: Run) -> Numbers:
    """Scores of queries that see no key: all alike, as the lowest float leaves them, unless a knob
    has them otherwise.
    """
    is_blind = np.isneginf(masked).all(axis=-1, keepdims=True)
    if not is_blind.any():
        return masked
    left = run("blind", plain)
    return np.where(is_blind, np.zeros_like(plain) if left is plain else left, masked)


def raw_scores(reading: Reading, run: Run) -> Numbers:
    """Products of query and key, rotated, neither scaled nor masked: [batch, heads, time, time]."""
    query, key, _ = operands(reading, run)
    tables = reading.tensors.get("cos"), reading.tensors.get("sin")
    query, key = rotated(query, "query", run, tables), rotated(key, "key", run, tables)
    query, key = run("operand", query), run("operand", key)
    products: Numbers = query @ repeated(key, query.shape[1], run).swapaxes(-1, -2)
    return products


def operands(reading: Reading, run: Run) -> tuple[Numbers, Numbers, Numbers]:
    """Query, key and value, [batch, heads, time, width] each.

    Raises:
        ValueError: they don't fit the number of heads.
    """
    order = run("operands", np.arange(3.0)).astype(int)
    packed = [reading.tensors[name] for name in ("query", "key", "value")]
    together = np.concatenate(packed, axis=-1)
    again = run("packing", together)
    if again is not together:
        ends = np.cumsum([each.shape[-1] for each in packed])[:-1]
        packed = np.split(again, ends, axis=-1)
    query, key, value = (packed[i] for i in order)  # [batch, time, width]
    width = query.shape[-1] // int(run("heads", np.asarray(1.0)))
    return heads(query, width), heads(key, width), heads(value, width)


def repeated(x: Numbers, n_heads: int, run: Run) -> Numbers:
    """Grouped keys or values, one for every head of the queries."""
    group = run("groups", np.arange(n_heads) // (n_heads // x.shape[1])).astype(int)
    return x[:, group]


def softmax(scores: Numbers, axis: int) -> Numbers:
    """Softmax over an axis; a row of nothing but -inf gives NaN."""
    powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
    shares: Numbers = powers / powers.sum(axis=axis, keepdims=True)
    return shares


def heads(x: Numbers, width: int) -> Numbers:
    """[batch, time, packed] to [batch, heads, time, width].

    Raises:
        ValueError: the width doesn't fit.
    """
    return x.reshape(*x.shape[:2], -1, width).swapaxes(1, 2)


def rotated(
    x: Numbers, which: str, run: Run, tables: tuple[Numbers | None, Numbers | None]
) -> Numbers:
    """Rotary positions, as the knobs have them: 0 no rotation, 1 halves, 2 neighbours.

    Cosines and sines are those that the model made, where it has a module for them.
    """
    style = int(run("rotary style", np.asarray(0.0)))
    if not style:
        return x
    cos, sin = tables
    if cos is None or sin is None:
        cos, sin = _made_tables(x.shape[-2], x.shape[-1], which, run)
    sin = run("rotary sine", sin)
    turned = 2 * cos.shape[-1]
    if turned > x.shape[-1]:
        raise ValueError(f"tables of {turned} for a head {x.shape[-1]} wide")
    part, rest = x[..., :turned], x[..., turned:]
    if style == 1:
        a, b = part[..., : turned // 2], part[..., turned // 2 :]
        done = np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
    else:
        a, b = part[..., 0::2], part[..., 1::2]
        done = np.stack([a * cos - b * sin, b * cos + a * sin], axis=-1).reshape(part.shape)
    return np.concatenate([done, rest], axis=-1)


def _made_tables(n_places: int, width: int, which: str, run: Run) -> tuple[Numbers, Numbers]:
    """Cosines and sines [time, turned / 2] of the angles that the knobs have."""
    base = float(run("rotary base", np.asarray(10000.0)))
    turned = int(round(width * float(run("rotary fraction", np.asarray(1.0)))) // 2 * 2)
    powers = run("rotary powers", np.arange(0, turned, 2) / max(turned, 1))
    places = run(f"rotary {which} places", np.arange(float(n_places)))
    rates = run("rotary rates", base**-powers)
    angles = run("rotary angles", places[:, None] * rates)
    return np.cos(angles), np.sin(angles)
