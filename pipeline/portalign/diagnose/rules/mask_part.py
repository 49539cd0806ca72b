"""A mask made of parts that lacks one of them, or has one besides: causal, a window, padding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from portalign.diagnose.confirm import Cause, Proposal
from portalign.diagnose.evidence import Numbers, Site
from portalign.diagnose.rule import Rule
from portalign.diagnose.words import near
from portalign.findings import OriginKind

_Hidden = npt.NDArray[np.bool_]
_Part = tuple[str, dict[str, float], _Hidden]  # what it hides in words, fitted, [.., time, time]


def _propose(site: Site) -> Iterator[Proposal]:
    ours, theirs = site.reference.target, site.candidate.target
    values = [value for value in map(_value, (ours, theirs)) if value is not None]
    if len(values) != 2 or not _are_alike(ours, theirs):
        return
    hidden, other = ours != 0, theirs != 0
    missing, besides = hidden & ~other, other & ~hidden
    if missing.any() == besides.any():
        return
    is_missing = bool(missing.any())
    less, more = (other, hidden) if is_missing else (hidden, other)
    for words, fitted, part in _parts(site, missing if is_missing else besides):
        both = less | part
        if both.shape == more.shape and (both == more).all():
            masks = (both, less) if is_missing else (less, both)  # the reference's first
            repaired, modelled = (
                np.where(mask, value, 0.0) for mask, value in zip(masks, values, strict=True)
            )
            causes = (_cause(words, fitted, is_missing=is_missing), *_another_value(*values))
            yield Proposal(causes, modelled, repaired)
            return


def _value(mask: Numbers) -> float | None:
    """What an additive mask [.., time, time] adds to all that it hides, 0.0 if it hides nothing;
    None if it is no such mask.
    """
    if mask.ndim not in (2, 3, 4) or not mask.size or mask.shape[-1] != mask.shape[-2]:
        return None
    found = np.unique(mask[mask != 0])
    if not found.size:
        return 0.0
    return float(found[0]) if len(found) == 1 and found[0] < 0 else None


def _are_alike(ours: Numbers, theirs: Numbers) -> bool:
    """Equal shapes but for axes that one side leaves at 1."""
    return ours.ndim == theirs.ndim and all(
        n == m or 1 in (n, m) for n, m in zip(ours.shape, theirs.shape, strict=True)
    )


def _cause(words: str, fitted: Mapping[str, float], *, is_missing: bool) -> Cause:
    if is_missing:
        claim = f"the mask doesn't hide {words}, which the reference hides"
        return Cause("mask-part", claim, f"hide {words}, too", fitted)
    claim = f"the mask hides {words}, which the reference shows"
    return Cause("mask-part", claim, f"show {words}", fitted)


def _parts(site: Site, differing: _Hidden) -> Iterator[_Part]:
    time, n_axes = differing.shape[-1], differing.ndim
    ahead = np.arange(time)[None, :] - np.arange(time)[:, None]
    yield "what lies ahead (a causal mask)", {}, ahead > 0
    back = -ahead[differing.reshape(-1, time, time).any(axis=0)]
    if back.size and (window := int(back.min())) > 0:
        words = f"what lies {window} places back or more (a window of {window} places)"
        yield words, {"window": float(window)}, -ahead >= window
    for source in site.shared():
        array = source.array
        if array.dtype.kind in "iub" and array.ndim == 2 and array.shape[1] == time and n_axes > 2:
            between = (1,) * (n_axes - 2)
            padding = (array == 0).reshape(len(array), *between, time)
            yield f"what {near(source.name, site.origin.path)} hides", {}, padding


def _another_value(ours: float, theirs: float) -> tuple[Cause, ...]:
    if ours == theirs or 0.0 in (ours, theirs):
        return ()
    claim = f"the mask adds {theirs:.4g} to what it hides, the reference {ours:.4g}"
    return (Cause("mask-changed", claim, f"add {ours:.4g}"),)


RULE = Rule(
    name="mask-part",
    line="a mask tensor lacks one of its parts, or has one besides: causal, a window, padding",
    kinds=frozenset({OriginKind.GLUE}),
    propose=_propose,
)
