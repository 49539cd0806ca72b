"""A layer that is left out, or applied once more than it should be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np

from portalign.diagnose.confirm import Cause, Proposal, needed, relative
from portalign.diagnose.evidence import Numbers, Site, Source, everything
from portalign.diagnose.rule import Rule
from portalign.findings import OriginKind

_NEAR = 200  # earlier tensors: a layer has some tens


def _propose(site: Site) -> Iterator[Proposal]:
    ours = _made_by_layers(site, site.reference.target)
    theirs = _made_by_layers(site, site.candidate.target)
    for right, wrong in ((one, other) for one in ours for other in theirs):
        first, second = _place(right), _place(wrong)
        if (first.stem, first.rest) != (second.stem, second.rest):
            continue
        if first.number == second.number:
            if first.call != second.call and not first.rest:
                names = f"{first.stem}{first.number}"
                yield _proposal(right, wrong, names, _times(second.call - first.call))
        elif not first.rest or _is_next(site, first):
            least, most = sorted((first.number, second.number))
            names = " and ".join(f"{first.stem}{at}" for at in range(least + 1, most + 1))
            is_late = second.number > first.number
            yield _proposal(right, wrong, names, "applied too much" if is_late else "left out")


def _is_next(site: Site, place: _Place) -> bool:
    """The place lies in the layer behind, or is it: what comes out of one layer goes in there."""
    path = f"{place.stem}{place.number + 1}"
    return f"{site.origin.path}.".startswith(f"{path}.")


def _times(n_more: int) -> str:
    if n_more < 0:
        return f"applied {-n_more} times too few"
    return "applied twice" if n_more == 1 else f"applied {n_more} times too often"


def _proposal(right: Source, wrong: Source, names: str, what: str) -> Proposal:
    cause = Cause(
        "layer-calls",
        f"{names} is {what}: {wrong.name} is passed on where the reference passes on {right.name}",
        "look at the loop over the layers: where it begins and ends, and which it passes by",
    )
    modelled, repaired = (np.asarray(each.array, np.float64) for each in (wrong, right))
    return Proposal((cause,), modelled, repaired)


def _made_by_layers(site: Site, target: Numbers) -> list[Source]:
    """What layers of a list returned, as far as it is this tensor."""
    good = needed(site)
    return [
        source
        for source in everything(site)[:_NEAR]
        if _place(source).stem
        and source.array.shape == target.shape
        and source.array.dtype.kind not in "iub"
        and relative(np.asarray(source.array, np.float64), target) <= good
    ]


@final
@dataclass(frozen=True, slots=True)
class _Place:
    """Where a tensor comes from.

    Attributes:
        stem: the list a layer stands in, with its dot; "" for other tensors.
        rest: the module in it whose output is the layer's too; "" for its own.
        call: which use of the module it was.
    """

    stem: str
    number: int
    rest: str
    call: int


def _place(source: Source) -> _Place:
    found = re.fullmatch(
        r"(?:the candidate's )?(.*\b)(\d+)((?:\.[a-z_]\w*)*) out\.\S+(?: call (\d+))?", source.name
    )
    if not found:
        return _Place("", 0, "", 0)
    return _Place(found[1], int(found[2]), found[3], int(found[4] or 0))


RULE = Rule(
    name="layer-calls",
    line="a layer of a list is left out, or applied twice",
    kinds=frozenset({OriginKind.GLUE}),
    propose=_propose,
)
