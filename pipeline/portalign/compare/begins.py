"""Where differences begin: by the grafted pass where there was one, else by the order of events.

The pass only names places. Where it failed, the verdict stands and a note says what the places rest
on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from portalign.compare.between import inside_glue
from portalign.compare.grafts import compare_grafted, origins, with_grafts
from portalign.compare.locate import locate
from portalign.errors import TraceError
from portalign.mapping.cuts import without_cuts
from portalign.mapping.pair import Pairing
from portalign.records import Trace
from portalign.results import Comparison, Divergence
from portalign.store import read_trace
from portalign.store.layout import FAILURE


def begins(
    graft: Path,
    comparisons: Sequence[Comparison],
    pairing: Pairing,
    reference: Trace,
    harmless: frozenset[int],
) -> tuple[Divergence, tuple[str, ...]]:
    """Find where differences begin.

    Args:
        graft: folder of the grafted pass; there need not be one.
        comparisons: of the ordinary captures, with what is harmless forgiven.
        pairing: what they compare.
        reference: the reference's trace.
        harmless: reference tensors whose difference has no effect, by the order of their records.

    Returns:
        The places, and notes on them.
    """
    found = locate(comparisons)
    if not graft.is_dir() or found.first is None:
        return found, ()
    try:
        if (graft / FAILURE).is_file():
            return found, (_note((graft / FAILURE).read_text(encoding="utf-8")),)
        trace = without_cuts(reference, read_trace(graft))[1]
    except (TraceError, OSError) as err:
        return found, (_note(err.found if isinstance(err, TraceError) else str(err)),)
    grafted = compare_grafted(pairing, trace)
    named = origins(grafted, reference, pairing, harmless=harmless)
    return with_grafts(found, comparisons, named), inside_glue(
        grafted, reference, [origin.label for origin in named]
    )


def _note(error: str) -> str:
    return (
        "origins come from the order of events, because the grafted pass failed with "
        f"{' '.join(error.split())}; one origin may hide another"
    )
