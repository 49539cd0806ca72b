from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from causes.places import Numbers, Seeded, glue, in_float32, random
from portalign.diagnose.low import through

BATCH, TIME, HEADS, KV_HEADS, WIDTH = 2, 7, 4, 2, 6
KEEP = (np.arange(TIME) < np.array([[5], [7]])).astype(np.int64)
EARLIER = {
    "attn.q out.0": random(BATCH, TIME, HEADS * WIDTH),
    "attn.k out.0": random(BATCH, TIME, KV_HEADS * WIDTH, seed=1),
    "attn.v out.0": random(BATCH, TIME, KV_HEADS * WIDTH, seed=2),
}
MASKED = {"(root) in.attention_mask": KEEP, **EARLIER}
CAUSAL = np.where(np.tri(TIME) > 0, 0.0, -np.inf)
PADDING = np.where(KEEP[:, None, None] > 0, 0.0, -1e9)


@dataclass(frozen=True)
class Core:
    """An attention core written out head by head; every field can be a fault."""

    scale: float = WIDTH**-0.5
    mask: Numbers | float | None = None  # causal
    is_late: bool = False
    cap: float | None = None
    heads: int = HEADS
    groups: tuple[int, ...] = (0, 0, 1, 1)
    order: tuple[int, int, int] = (0, 1, 2)
    axis: int = -1
    is_merged: bool = True
    rotary: str = ""
    base: float = 10000.0
    share: float = 1.0
    sign: float = 1.0
    late: int = 0
    low: str = ""  # dtype that the scores go through,
    low_at: str = "scores"  # or the operands of their product, or all
    slopes: tuple[float, ...] = ()  # of ALiBi, for each head
    is_by_heads: bool = False  # packed as one group of query heads, its key and value, the next
    low_angles: str = ""  # dtype in which rotary rates and angles are computed

    def made(self) -> Numbers:
        names = list(EARLIER)
        width = HEADS * WIDTH // self.heads
        packed = [EARLIER[name] for name in names]
        if self.is_by_heads:
            together = np.concatenate(packed, -1).reshape(BATCH, TIME, KV_HEADS, -1, WIDTH)
            parts = together[..., :-2, :], together[..., -2, :], together[..., -1, :]
            packed = [part.reshape(BATCH, TIME, -1) for part in parts]
        q, k, v = (self.split(packed[i], width) for i in self.order)
        q, k = self.rotated(q, 0), self.rotated(k, self.late)
        groups = list(self.groups)
        if self.low_at != "scores":
            q, k = through(q, self.low), through(k, self.low)
        scores = np.einsum("bhqd,bhkd->bhqk", q, k[:, groups]) * self.scale
        if self.low and self.low_at != "operands":
            scores = through(scores, self.low)
        if self.cap is not None:
            scores = self.cap * np.tanh(scores / self.cap)
        if self.slopes:
            back = np.subtract.outer(np.arange(TIME), np.arange(TIME))
            scores = scores - np.multiply.outer(self.slopes, np.abs(back))
        mask = CAUSAL if self.mask is None else self.mask
        scores = scores + (0.0 if self.is_late else mask)
        weights = np.exp(scores - scores.max(self.axis, keepdims=True))
        weights = weights / weights.sum(self.axis, keepdims=True)
        if self.is_late:
            weights = np.where(np.asarray(mask) == 0, weights, 0.0)
        if self.low_at == "all":
            weights, v = through(weights, self.low), through(v, self.low)
        context = np.einsum("bhqk,bhkd->bhqd", weights, v[:, groups])
        context = through(context, self.low) if self.low_at == "all" else context
        if self.is_merged:
            context = np.moveaxis(context, 1, 2)
        return context.reshape(BATCH, TIME, -1)

    @staticmethod
    def split(x: Numbers, width: int) -> Numbers:
        return np.moveaxis(x.reshape(BATCH, TIME, -1, width), 2, 1)

    def rotated(self, x: Numbers, late: int) -> Numbers:
        if not self.rotary:
            return x
        width = x.shape[-1]
        n = round(width * self.share)
        rates = self.base ** (-np.arange(0, n, 2) / n)
        if self.low_angles:
            rates = through(rates, self.low_angles)
        angles = np.outer(np.arange(TIME) + late, rates)
        angles = through(angles, self.low_angles) if self.low_angles else angles
        turned = self.sign * angles
        pairs = x[..., :n]
        a, b = (
            (pairs[..., : n // 2], pairs[..., n // 2 :])
            if self.rotary == "halves"
            else (pairs[..., 0::2], pairs[..., 1::2])
        )
        z = (a + 1j * b) * np.exp(1j * turned)
        parts = [z.real, z.imag]
        if self.rotary == "halves":
            done = np.concatenate(parts, -1)
        else:
            done = np.stack(parts, -1).reshape(pairs.shape)
        return np.concatenate([done, x[..., n:]], -1)


RIGHT = Core()
CLEAN = glue(RIGHT.made(), Core(scale=0.5 * WIDTH**-0.5 * 2).made(), earlier=EARLIER)


def fault(rule: str, wrong: Core, right: Core = RIGHT, **given: object) -> Seeded:
    earlier = given.pop("earlier", EARLIER)
    site = glue(right.made(), wrong.made(), earlier=earlier)  # type: ignore[arg-type]
    return Seeded(rule, site, CLEAN, **given)  # type: ignore[arg-type]


def low(rule: str, wrong: Core, right: Core = RIGHT, says: str = "") -> Seeded:
    """A fault of precision: made in float32 on both sides, and alike in float64."""
    site = in_float32(glue(right.made(), wrong.made(), earlier=EARLIER))
    exact = replace(right, low="", low_at="scores", low_angles="").made()
    twin = glue(exact, exact, earlier=EARLIER)
    return Seeded(rule, site, CLEAN, says=says, twin=twin)


FAULTS = (
    fault(
        "attention-scale",
        Core(scale=224**-0.5),
        fitted={"reference scale": WIDTH**-0.5, "candidate scale": 224**-0.5},
        says="0.0668153 = 1/sqrt(224)",
    ),
    fault("attention-scale", Core(scale=1.0), says="the attention scale is 1, in the reference"),
    fault(
        "attention-scale",
        Core(),
        Core(scale=0.3),
        fitted={"reference scale": 0.3, "candidate scale": WIDTH**-0.5},
    ),
)
