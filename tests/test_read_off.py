"""Attention cores with a window, a soft-cap and rotary tables, read off what they made."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from causes.places import Numbers, glue, random
from portalign.diagnose.engine import Doctor
from portalign.diagnose.layer_order import ordered
from portalign.findings import Finding

BATCH, TIME, HEADS, KV_HEADS, WIDTH = 2, 24, 4, 2, 32
GAIN = 4.0  # of query and key: products up to 600, and so scores beyond the cap
# rounded as models keep them: powers computed here would not agree to 1e-14
RATES = (10000.0 ** -(np.arange(0, WIDTH, 2) / WIDTH)).astype(np.float32).astype(np.float64)
ANGLES = np.outer(np.arange(TIME), RATES)
EARLIER = {
    "rotary out.0": np.tile(np.cos(ANGLES), 2)[None],  # [1, time, width]
    "rotary out.1": np.tile(np.sin(ANGLES), 2)[None],
    "attn.q out.0": GAIN * random(BATCH, TIME, HEADS * WIDTH),
    "attn.k out.0": GAIN * random(BATCH, TIME, KV_HEADS * WIDTH, seed=1),
    "attn.v out.0": random(BATCH, TIME, KV_HEADS * WIDTH, seed=2),
}


@dataclass(frozen=True)
class Gemma:
    """A core as Gemma-2 has them, written with complex numbers."""

    divisor: float = 16.0
    cap: float | None = 50.0
    window: int | None = 8
    is_interleaved: bool = False

    def made(self, earlier: dict[str, Numbers] = EARLIER) -> Numbers:
        query, key = (self.rotated(earlier[f"attn.{name} out.0"]) for name in "qk")
        value = np.repeat(split(earlier["attn.v out.0"]), HEADS // KV_HEADS, 1)
        scores = np.einsum("bhqd,bhkd->bhqk", query, np.repeat(key, HEADS // KV_HEADS, 1))
        scores = scores / self.divisor
        if self.cap is not None:
            scores = self.cap * np.tanh(scores / self.cap)
        back = np.subtract.outer(np.arange(TIME), np.arange(TIME))
        scores = np.where((back < 0) | (back >= (self.window or TIME)), -np.inf, scores)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        context = weights / weights.sum(-1, keepdims=True) @ value
        return np.moveaxis(context, 1, 2).reshape(BATCH, TIME, -1)

    def rotated(self, packed: Numbers) -> Numbers:
        x = split(packed)
        a, b = (x[..., 0::2], x[..., 1::2]) if self.is_interleaved else np.split(x, 2, -1)
        z = (a + 1j * b) * np.exp(1j * ANGLES)
        parts = z.real, z.imag
        if self.is_interleaved:
            return np.stack(parts, -1).reshape(x.shape)
        return np.concatenate(parts, -1)


RIGHT = Gemma()


def split(packed: Numbers) -> Numbers:
    return np.moveaxis(packed.reshape(BATCH, TIME, -1, WIDTH), 2, 1)


def found(wrong: Gemma, right: Gemma = RIGHT) -> list[Finding]:
    return Doctor().causes(glue(right.made(), wrong.made(), earlier=EARLIER))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (
            Gemma(divisor=224**0.5),
            {"attention-scale": {"reference scale": 1 / 16, "candidate scale": 224**-0.5}},
        ),
        (Gemma(cap=None), {"attention-cap": {"reference cap": 50.0}}),
        (Gemma(cap=37.3), {"attention-cap": {"reference cap": 50.0, "candidate cap": 37.3}}),
        (
            Gemma(divisor=224**0.5, cap=None),
            {
                "attention-cap": {"reference cap": 50.0},
                "attention-scale": {"reference scale": 1 / 16, "candidate scale": 224**-0.5},
            },
        ),
        (Gemma(window=None), {"attention-window": {"reference window": 8.0}}),
        (
            Gemma(window=9),
            {"attention-window": {"reference window": 8.0, "candidate window": 9.0}},
        ),
        (Gemma(is_interleaved=True), {"rotary-style": {}}),
    ],
    ids=["scale", "cap", "another cap", "scale and cap", "window", "longer window", "interleaved"],
)
def test_what_is_wrong_in_a_capped_windowed_core_is_named_with_its_numbers(
    wrong: Gemma, named: dict[str, dict[str, float]]
) -> None:
    causes = found(wrong)

    assert {one.rule for one in causes} == set(named)
    for one in causes:
        assert one.is_confirmed
        assert one.after <= 1e-13  # float64 leaves 1e-16 for each operation
        for name, value in named[one.rule].items():
            assert one.fitted[name] == pytest.approx(value, rel=1e-9)


def test_a_core_that_differs_in_nothing_that_can_be_read_off_stays_unexplained() -> None:
    noise = 1e-3 * random(BATCH, TIME, HEADS * WIDTH, seed=5)
    site = glue(RIGHT.made(), RIGHT.made() + noise, earlier=EARLIER)

    assert [one.rule for one in Doctor().causes(site)] == [""]


def test_tokens_that_come_twice_dont_hide_scale_and_cap() -> None:
    earlier = dict(EARLIER)
    for name in ("attn.q out.0", "attn.k out.0", "attn.v out.0"):
        earlier[name] = earlier[name].copy()
        earlier[name][0, 12] = earlier[name][0, 3]  # one token at two places of the first row
    wrong = replace(RIGHT, divisor=224**0.5)

    causes = Doctor().causes(glue(RIGHT.made(earlier), wrong.made(earlier), earlier=earlier))

    assert [one.rule for one in causes] == ["attention-scale"]
    assert "division by 14.9666" in causes[0].claim


def test_windows_that_mirror_each_other_are_layers_in_the_wrong_order() -> None:
    lacking, added = (
        replace(one, where=(f"layer {number}",))
        for number, pair in enumerate([(Gemma(window=None), RIGHT), (RIGHT, Gemma(window=None))])
        for one in found(*pair)
    )

    (one,) = ordered([lacking, added])

    assert one.where == ("layer 0", "layer 1")
    assert "wrong order" in one.claim
    assert ordered([lacking]) == (lacking,)
    assert ordered([added, added]) == (added, added)
