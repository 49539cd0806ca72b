"""Orders in which slices of a tensor may stand, and what a porter calls them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from portalign.diagnose.evidence import Numbers

ZERO = -1  # in the place of a slice that is all zeros
_SAME = 1e-9  # of the largest key: keys this near are of one slice


def matched(ours: Numbers, theirs: Numbers) -> list[int] | None:
    """Which slice of ours each slice of theirs is, or `ZERO`; None if one of them is neither.

    Args:
        ours, theirs: [slices, elements]; the second may be fewer or more.
    """
    mix = np.random.default_rng(0).normal(size=ours.shape[1])
    keys, wanted = ours @ mix, theirs @ mix
    size = float(np.abs(keys).max(initial=0.0))
    if not (np.isfinite(keys).all() and np.isfinite(wanted).all() and size):
        return None
    places = np.argsort(keys, kind="stable")
    after = np.clip(np.searchsorted(keys[places], wanted), 1, max(len(keys) - 1, 1))
    pair = np.stack([places[after - 1], places[np.minimum(after, len(keys) - 1)]])
    nearest = pair[np.abs(keys[pair] - wanted).argmin(0), np.arange(len(wanted))]
    is_own = np.arange(len(wanted)) < len(ours)
    own = np.where(is_own, np.arange(len(wanted)), 0)
    nearest = np.where(is_own & (np.abs(keys[own] - wanted) <= _SAME * size), own, nearest)
    is_zero = ~theirs.any(axis=1)
    if not ((np.abs(keys[nearest] - wanted) <= _SAME * size) | is_zero).all():
        return None
    return [int(at) for at in np.where(is_zero, ZERO, nearest)]


def known(n: int) -> Iterator[list[int]]:
    """Orders that code makes: reversed, two blocks exchanged, counted by rows and not columns."""
    plain = np.arange(n)
    yield [int(at) for at in plain[::-1]]
    for n_rows in range(2, n // 2 + 1):
        if n % n_rows == 0:
            yield [int(at) for at in plain.reshape(n_rows, -1).T.ravel()]
    yield [int(at) for at in np.roll(plain, n // 2)]


def said(order: Sequence[int]) -> str:
    """An order in words, to follow "they stand".

    >>> said([2, 1, 0]), said([2, 3, 0, 1, 4, 5]), said([1, 2, 3, 4, 0])
    ('in reverse order', 'in blocks of 2 in the order 1 0 2', 'shifted by +1')
    """
    n, places = len(order), list(order)
    if places == list(range(n))[::-1]:
        return "in reverse order"
    return (
        _shifted(places)
        or _rotary(places)
        or _turned(places)
        or _blocks(places)
        or f"in another order, which begins {' '.join(map(str, places[:8]))}"
    )


def _shifted(order: list[int]) -> str:
    """By one or two places, around the end or not."""
    n = len(order)
    for step in (1, -1, 2, -2):
        kept = [at for at in range(n) if 0 <= at + step < n]
        if n > 4 and all(order[at] == at + step for at in kept):
            return f"shifted by {step:+d}"
    return ""


def _rotary(order: list[int]) -> str:
    """Within each block halves for neighbours, or the other way round."""
    n = len(order)
    for width in (each for each in range(8, n + 1, 2) if n % each == 0):
        halves = np.arange(width).reshape(2, -1).T.ravel()  # 0 4 1 5 ..
        starts = np.arange(0, n, width)[:, None]
        if order == list((starts + halves).ravel()):
            return f"with the halves of each {width} as neighbours (0 {width // 2} 1 ..)"
        if order == list((starts + np.argsort(halves)).ravel()):
            return f"with the neighbours of each {width} as halves (0 2 4 ..)"
    return ""


def _turned(order: list[int]) -> str:
    n = len(order)
    for n_rows in range(2, n // 2 + 1):
        if n % n_rows == 0 and order == list(np.arange(n).reshape(n_rows, -1).T.ravel()):
            return f"as [{n // n_rows}, {n_rows}] where the reference has [{n_rows}, {n // n_rows}]"
    return ""


def _blocks(order: list[int]) -> str:
    n = len(order)
    for n_blocks in range(2, min(n, 64) + 1):
        size = n // n_blocks
        starts = [at // size for at in order[::size]]
        if (
            n % n_blocks == 0
            and size > 1
            and order == [s * size + i for s in starts for i in range(size)]
        ):
            return f"in blocks of {size} in the order {' '.join(map(str, starts))}"
    return ""
