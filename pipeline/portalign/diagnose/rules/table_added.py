"""A table of the module's own that enters a sum: another one, or the same one written otherwise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portalign.diagnose.confirm import Cause, Proposal, relative
from portalign.diagnose.evidence import Numbers, Site
from portalign.diagnose.rule import Rule
from portalign.findings import OriginKind

BASE = 10_000.0  # of the sinusoid in "Attention is all you need", section 3.5
# Rounding an angle to float32 moves it by half a spacing, 2^-24 of it; the power and the product
# that make the angle, and the sine, round too.
_ROUNDINGS = 8 * 2.0**-24


def _propose(site: Site) -> Iterator[Proposal]:
    for name, ours in site.reference.state.items():
        owner = name.rpartition(".")[0]
        if not f"{site.origin.path}.".startswith(f"{owner}." if owner else ""):
            continue  # code in front of a module belongs to one that holds it
        theirs = site.candidate.state.get(name)
        made = site.reference.target.shape
        if theirs is None or site.candidate.target.shape != made:
            continue
        first, second = (_rows(np.asarray(table, np.float64), made) for table in (ours, theirs))
        if first is None or second is None or np.array_equal(first, second):
            continue
        yield Proposal(
            (_cause(name, first, second),),
            modelled=site.reference.target - first + second,
            repaired=site.candidate.target - second + first,
        )


def _rows(table: Numbers, shape: tuple[int, ...]) -> Numbers | None:
    """The rows [time, width] that are added to [..., time, width]; None if they can't be."""
    lone = table.ndim < 2 or table.size != table.shape[-2] * table.shape[-1]
    if len(shape) < 2 or lone or table.shape[-1] != shape[-1] or table.shape[-2] < shape[-2]:
        return None
    return table.reshape(-1, shape[-1])[: shape[-2]]


def _cause(name: str, ours: Numbers, theirs: Numbers) -> Cause:
    apart = relative(theirs, ours)
    claim = f"{name}, which is added here, is another table than the reference's"
    remedy = f"carry {name} over, or copy the reference's table"
    exact = _sinusoid(ours)
    if exact is not None and _is_rounded(ours, exact) and _is_rounded(theirs, exact):
        claim = (
            f"{name}, which is added here, is the reference's sinusoid of base {BASE:g} computed "
            f"in another way in float32: {relative(ours, exact):.1e} from the exact one on the "
            f"reference's side, {relative(theirs, exact):.1e} on the candidate's"
        )
        remedy = f"copy the reference's table into {name}, or compute it with its operations"
    return Cause("table-added", claim, remedy, {"difference": apart})


def _sinusoid(table: Numbers) -> Numbers | None:
    """The exact table of the same layout: sines beside cosines, or in turn with them."""
    n_places, width = table.shape
    if width % 2:
        return None
    angles = np.outer(np.arange(n_places), BASE ** (-2.0 * np.arange(width // 2) / width))
    sines, cosines = np.sin(angles), np.cos(angles)
    halves = np.concatenate([sines, cosines], -1)
    in_turn = np.stack([sines, cosines], -1).reshape(table.shape)
    return min((halves, in_turn), key=lambda exact: relative(table, exact))


def _is_rounded(table: Numbers, exact: Numbers) -> bool:
    """Whether a table is the exact one but for what float32 makes of its angles."""
    places = np.arange(len(exact))[:, None]
    return bool((np.abs(table - exact) <= _ROUNDINGS * (places + 1.0)).all())


RULE = Rule(
    name="table-added",
    line="a table that is added is another one, or the same sinusoid computed in another way",
    kinds=frozenset({OriginKind.GLUE, OriginKind.MODULE}),
    propose=_propose,
)
