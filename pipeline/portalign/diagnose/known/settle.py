"""What known differences mean for a step's verdict: where they explain all that fails, nothing is
proved, and nothing is held against the port.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from portalign.compare.chain import Link
from portalign.compare.iterations import Iterations
from portalign.diagnose.known.explained import Explained
from portalign.diagnose.known.given import given
from portalign.diagnose.known.losses import Specs, explain_losses
from portalign.diagnose.known.optimizers import explain_updates
from portalign.errors import TraceError
from portalign.findings import Finding, Origin, OriginKind, Part
from portalign.records import Array, Kind, SideInfo, Trace
from portalign.results import Comparison, Divergence, Outcome, Reservation, Verdict
from portalign.store import read_trace

RULE = "known-framework-difference"


@final
@dataclass(frozen=True, slots=True)
class Known:
    """The known differences of a step.

    Attributes:
        labels: of the links that they explain.
        places: labels of the places that they explain.
        is_all: nothing fails but what they explain, and what comes after it.
    """

    findings: tuple[Finding, ...] = ()
    labels: frozenset[str] = frozenset()
    places: frozenset[str] = frozenset()
    is_all: bool = False


def known_differences(
    chain: Iterations,
    divergence: Divergence,
    traces: tuple[Trace, Path, Path],
    sides: Sequence[SideInfo],
    losses: Specs,
) -> Known:
    """Find what the frameworks' own formulas explain of the state-grafted iterations.

    Args:
        chain: what these iterations showed.
        divergence: of the step, with what they found at fault.
        traces: the reference's trace with its initial state, the folder of what it handed over, and
            the folder of the batches.
        sides: reference and candidate.
        losses: both sides' losses, as the port file has them.
    """
    if len(sides) != 2 or not any(link.is_wrong for link in chain.links):
        return Known()
    reference, handed, inputs = traces
    try:
        values = given(reference, read_trace(handed))
        batches = _batches(read_trace(inputs))
    except (TraceError, OSError):
        return Known()
    first, second = sides
    frameworks = (first.framework, second.framework)
    found = [
        explain_updates(chain.links, values, (first, second)),
        explain_losses(chain.links, values, batches, frameworks, losses),
    ]
    explained = [each for each in found if each is not None]
    labels = frozenset[str]().union(*(each.labels for each in explained))
    wrong = {link.label for link in chain.links if link.is_wrong}
    places = {place.label: _links_of(place, chain.links) for place in divergence.places}
    explained_places = frozenset(label for label, some in places.items() if some & labels)
    return Known(
        tuple(finding for each in explained for finding in _placed(each, places)),
        labels,
        explained_places,
        is_all=bool(labels)
        and wrong <= labels
        and not divergence.unresolved
        and len(explained_places) == len(places),
    )


def _links_of(place: Origin, links: Sequence[Link]) -> frozenset[str]:
    """Labels of the links that show what begins at a place."""
    if place.kind is not OriginKind.LOSS:
        return frozenset([place.label])
    return frozenset(one.label for one in links if one.part is Part.LOSS and not one.iteration)


def _placed(explained: Explained, places: Mapping[str, frozenset[str]]) -> Iterator[Finding]:
    where = tuple(label for label, links in places.items() if links & explained.labels)
    for finding in explained.findings:
        yield replace(finding, where=where or finding.where[:1])


def without_known(divergence: Divergence, known: Known) -> Divergence:
    """The places without those that known differences explain, if others are left."""
    places = tuple(p for p in divergence.places if p.label not in known.places)
    if not places or len(places) == len(divergence.places):
        return divergence
    return replace(divergence, places=places, origins=tuple(place.label for place in places))


def settle_known(comparisons: Iterable[Comparison], known: Known) -> tuple[Comparison, ...]:
    """The comparisons, none of which fails where known differences explain all that does."""
    if not known.is_all:
        return tuple(comparisons)
    return tuple(
        _settled(one, known) if one.outcome is Outcome.FAIL else one for one in comparisons
    )


def _settled(one: Comparison, known: Known) -> Comparison:
    verdict, why = Verdict.UNDECIDED, "It comes after a known difference of the frameworks"
    if one.label in known.labels:
        verdict, why = Verdict.KNOWN, "A known difference of the frameworks"
    reason = f"{why}. {one.reason}"
    return replace(one, verdict=verdict, outcome=Outcome.INCONCLUSIVE, reason=reason)


def reservations(known: Known) -> tuple[Reservation, ...]:
    """Why such a step proves nothing, one for each difference."""
    return tuple(
        Reservation(
            RULE,
            f"{finding.claim}. What comes after it can't be compared: {finding.remedy}",
        )
        for finding in known.findings
        if known.is_all
    )


def _batches(inputs: Trace) -> list[dict[str, Array]]:
    found: dict[int, dict[str, Array]] = {}
    for record in inputs.records:
        if record.key.kind is Kind.INPUT:
            found.setdefault(record.key.iteration, {})[record.key.path] = record.array
    return [found[index] for index in sorted(found)]
