"""Rotary tables that a module makes from rates it holds: a wrong rate shows in what it returns.

So a difference there is no second fault, if each side's own rates make each side's own table.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portalign.diagnose.confirm import needed, relative
from portalign.diagnose.evidence import Numbers, Site, View
from portalign.records import Array


def made_from(site: Site) -> str | None:
    """Full name of the differing rates from which both sides made what they return.

    Returns:
        None where the module holds no such rates, or they don't make the table on both sides.
    """
    views = site.reference, site.candidate
    states = [view.own_state() for view in views]
    for name, first in states[0].items():
        second = states[1].get(name)
        if second is None or first.ndim != 1 or np.array_equal(first, second):
            continue
        if all(
            _is_made(view, state[name], site) for view, state in zip(views, states, strict=True)
        ):
            return f"{site.origin.path}.{name}" if site.origin.path else name
    return None


def _is_made(view: View, state: Array, site: Site) -> bool:
    good, rates = needed(site), np.asarray(state, np.float64)
    if view.target.ndim < 2 or not (rates > 0).all():
        return False
    return any(
        relative(np.broadcast_to(table, view.target.shape), view.target) <= good
        for table in _tables(rates, view.target.shape)
    )


def _tables(rates: Numbers, shape: tuple[int, ...]) -> Iterator[Numbers]:
    angles = np.outer(np.arange(shape[-2]), rates)  # [time, rates]
    for laid in (angles, np.tile(angles, 2), np.repeat(angles, 2, -1)):
        if laid.shape[-1] == shape[-1]:
            yield np.cos(laid)
            yield np.sin(laid)
