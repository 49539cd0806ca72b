"""What training showed, in words: which links are at fault, and how fast the two sides part."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from portalign.findings import Blame, Growth, Part


def trained(blames: Iterable[Blame], growth: Growth | None) -> tuple[str, ...]:
    """The first blame of each part and how often it comes again, then the growth."""
    by_part: dict[Part, list[Blame]] = {}
    for each in blames:
        by_part.setdefault(each.part, []).append(each)
    return (*(_again(*found) for found in by_part.values()), *_growth(growth))


def _again(first: Blame, *later: Blame) -> str:
    times = f"{len(later)} later iteration{'s' if len(later) > 1 else ''}"
    return f"{first.text}; so in {times}" if later else first.text


def _growth(growth: Growth | None) -> Iterator[str]:
    if growth is None or not growth.native[-1] > 0:
        return
    curves = [
        ("", growth.native, growth.native_factor),
        ("in float64 ", growth.float64, growth.float64_factor),
        ("by rounding alone ", growth.rounding, growth.rounding_factor),
    ]
    told = [
        f"{name}{values[-1]:.1e}{_times(factor)}"
        for name, values, factor in curves
        if not math.isnan(values[-1])
    ]
    n = growth.iterations[-1] + (growth.what == "loss")
    verdict = ""
    if not math.isnan(growth.rounding[-1]):
        verdict = ": no more than rounding" if growth.is_rounding else ": more than rounding"
    yield f"free run, {growth.what} apart after {n} iterations: {', '.join(told)}{verdict}"


def _times(factor: float) -> str:
    return "" if math.isnan(factor) else f" ({factor:.2g}x each iteration)"
