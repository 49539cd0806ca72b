"""A rule that looks at a place as a whole, where a cause is no knob of a computation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import final

from portalign.diagnose.confirm import Proposal
from portalign.diagnose.evidence import Site
from portalign.findings import OriginKind


@final
@dataclass(frozen=True, slots=True)
class Rule:
    """A rule about a place.

    Attributes:
        name: stands in reports.
        line: what it names, for docs/causes.md.
        kinds: of the origins it looks at.
        propose: what may be the cause there, the likeliest first; nothing where it has no opinion.
    """

    name: str
    line: str
    kinds: frozenset[OriginKind]
    propose: Callable[[Site], Iterable[Proposal]]
