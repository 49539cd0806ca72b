"""What the state-grafted iterations add to a report: blames, origins, the comparisons that fail.

They only ever add: where they were not run or failed, the ordinary captures decide alone and a note
says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from portalign.compare.batch_norm import Convention
from portalign.compare.blames import at_fault, blames
from portalign.compare.chain import Link, in_order, links
from portalign.compare.fed import batch_links
from portalign.errors import TraceError
from portalign.findings import Blame, Origin, OriginKind, Part
from portalign.mapping.weights import WeightPlan
from portalign.records import Kind, Role, Trace
from portalign.results import Comparison, Divergence, Outcome, Verdict
from portalign.store import read_trace
from portalign.store.layout import FAILURE

_IN_THE_MODEL = (Part.LOSS, Part.GRADIENT)  # of the first iteration, the grafted pass finds where
_FOUND_BY_MODULE = (OriginKind.MODULE, OriginKind.GLUE, OriginKind.BACKWARD, OriginKind.LOSS)


@dataclass(frozen=True, slots=True)
class Iterations:
    """What the state-grafted iterations of a step showed; nothing where there were none.

    Attributes:
        links: everything that was compared.
        faults: what is wrong by its own doing, ordered by iteration and part.
    """

    links: tuple[Link, ...] = ()
    faults: tuple[Link, ...] = ()
    blames: tuple[Blame, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def n_faithful(self) -> int:
        """How many iterations from the first on were gone through, and no link was wrong."""
        gone = {one.iteration for one in self.links}
        wrong = {one.iteration for one in self.links if one.is_wrong}
        return next(k for k in range(len(gone) + 1) if k not in gone or k in wrong)

    @property
    def n_checked(self) -> int:
        """The same where some between them weren't gone through, for want of room: 10 where the
        first and the last of ten were, and are faithful.
        """
        gone = {one.iteration for one in self.links}
        first_wrong = min((one.iteration for one in self.links if one.is_wrong), default=None)
        right = [k for k in gone if first_wrong is None or k < first_wrong]
        return max(right, default=-1) + 1

    def failing(self, n_before: int) -> tuple[Comparison, ...]:
        """Comparisons of the faults, in an order that follows `n_before` others."""
        found = [one.comparison for one in self.faults if one.comparison is not None]
        return tuple(replace(one, order=n_before + i) for i, one in enumerate(found))


def iterations(
    folder: Path,
    reference: Trace,
    plan: WeightPlan,
    known: Mapping[str, Convention],
    *,
    batches: Path,
) -> Iterations:
    """Read and compare the state-grafted iterations.

    Args:
        folder: holds both sides' traces of them; there need not be one.
        batches: folder of the batches that both sides were fed.
        reference: the reference's trace with its initial state.
        plan: which tensor went where.
        known: conventions of running variances, by the reference's name.
    """
    if not (folder / Role.CANDIDATE.value).is_dir():
        return Iterations()
    try:
        if (folder / FAILURE).is_file():
            return Iterations(notes=(_note((folder / FAILURE).read_text(encoding="utf-8")),))
        handed, candidate = (read_trace(folder / role.value) for role in Role)
        own = [record for record in candidate.records if record.key.kind is Kind.INPUT]
        fed = read_trace(batches).records if own else ()
    except (TraceError, OSError) as err:
        return Iterations(notes=(_note(err.found if isinstance(err, TraceError) else str(err)),))
    chain = links(reference, handed, candidate, plan, known)
    found = in_order([*batch_links(fed, own), *chain])
    faults = at_fault(found)
    return Iterations(found, faults, blames(faults))


def with_faults(
    found: Divergence, faults: Sequence[Link], comparisons: Sequence[Comparison]
) -> Divergence:
    """Put what the state-grafted iterations found at fault in place of what was read off the order
    of events, one origin for each part.

    A wrong loss or gradient is no second origin where the grafted pass found its module.

    Args:
        found: origins by the grafted pass and by the order of events.
        comparisons: all of the report, those of the faults included.
    """
    imprecise = {one.label for one in comparisons if one.verdict is Verdict.PRECISION}
    rates = {one.label for one in comparisons if one.key.kind is Kind.LR}
    kept = [p for p in found.places if p.kind is not OriginKind.TRAINING or p.label in imprecise]
    named = {Part.LR} if any(p.label in rates for p in kept) else set[Part]()
    if any(p.kind in _FOUND_BY_MODULE for p in kept):
        named.update(_IN_THE_MODEL)
    added = [_origin(one) for one in _first_of_each_part(faults) if one.part not in named]
    if not added:
        return found
    places = (*kept, *added)
    labels = tuple(place.label for place in places)
    failing = [one.label for one in comparisons if one.outcome is Outcome.FAIL]
    return Divergence(
        origins=labels,
        inherited=tuple(label for label in failing if label not in labels),
        unresolved=(),
        first=found.first or labels[0],
        places=places,
    )


def _first_of_each_part(faults: Iterable[Link]) -> list[Link]:
    first: dict[Part, Link] = {}
    for one in faults:
        first.setdefault(one.part, one)
    return list(first.values())


def _origin(one: Link) -> Origin:
    path, _, slot = one.owner.rpartition(".")
    return Origin(one.label, OriginKind.TRAINING, path, slot, iteration=one.iteration)


def _note(error: str) -> str:
    return (
        "no link of the training iterations was judged on the reference's own state, because the "
        f"state-grafted pass failed with {' '.join(error.split())}"
    )
