"""Where an origin stands in the tables and trees of a report: its row, and the module it is of.

An origin may be a pair by itself or a place between pairs ("glue before fc in.0, after norm"); a
reader who follows it wants the pair that shows it, or at least the module.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from portalign.findings import Origin, OriginKind
from portalign.records import Kind
from portalign.results import Comparison, Outcome, StepReport

_WORD = re.compile(r"[^\s,:]+")


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a label leads to.

    Attributes:
        label: as in `Divergence.origins` or `unresolved`.
        kind: what it begins in, in words; "" if that isn't known.
        row: of the comparison that shows it, -1 if none does.
        path: of the reference's module; "" is the root, or where no module is named.
    """

    label: str
    kind: str
    row: int
    path: str


def spots(report: StepReport, labels: Sequence[str]) -> tuple[Spot, ...]:
    """Where each label leads to, in their order."""
    rows = {one.label: row for row, one in enumerate(report.comparisons)}
    places = {place.label: place for place in report.divergence.places}
    paths = _paths(report)
    return tuple(
        _spot(label, report.comparisons, rows, places.get(label), paths) for label in labels
    )


def _spot(
    label: str,
    comparisons: Sequence[Comparison],
    rows: dict[str, int],
    place: Origin | None,
    paths: frozenset[str],
) -> Spot:
    kind = place.kind.value if place else ""
    if label in rows:
        return Spot(label, kind, rows[label], comparisons[rows[label]].key.path)
    if place is not None:
        return Spot(label, kind, _row(place, comparisons), place.path)
    named = [word for word in _WORD.findall(label) if word in paths or word in rows]
    path = next((word for word in named if word in paths), "")
    shown = next((rows[word] for word in named if word in rows), -1)
    wanted = Origin(label, OriginKind.MODULE, path)
    return Spot(label, kind, shown if shown >= 0 or not path else _row(wanted, comparisons), path)


def _row(place: Origin, comparisons: Sequence[Comparison]) -> int:
    """The first failing pair of that place; of its slot, where one is named and fails."""
    kinds = {
        OriginKind.BACKWARD: {Kind.GRADIENT},
        OriginKind.STATE: {Kind.PARAMETER, Kind.BUFFER},
    }.get(place.kind, {Kind.ACTIVATION, Kind.OUTPUT})
    there = [
        row
        for row, one in enumerate(comparisons)
        if one.outcome is not Outcome.PASS
        and one.key.path == place.path
        and one.key.kind in kinds
        and (one.key.call, one.key.iteration) == (place.call, place.iteration)
    ]
    named = [row for row in there if comparisons[row].key.slot == place.slot]
    return next(iter(named or there), -1)


def _paths(report: StepReport) -> frozenset[str]:
    structures = (side.structure for side in report.sides[:1])
    modules = (module.path for each in structures if each for module in each.modules)
    return frozenset((*modules, *(one.key.path for one in report.comparisons))) - {""}
