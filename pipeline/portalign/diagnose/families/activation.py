"""One function of one tensor, element by element: a module's, or one called between modules."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portalign.diagnose.evidence import Numbers, Site, Source, View, everything
from portalign.diagnose.family import Family, Reading, Run
from portalign.diagnose.functions import may_be_function
from portalign.findings import OriginKind

_NEAR = 6  # earlier tensors of the same shape that a function between modules may take


def _readings(site: Site) -> Iterator[tuple[Reading, Reading]]:
    if site.origin.kind is OriginKind.MODULE:
        sources = [site.reference.inputs, site.candidate.inputs]
        if len(sources[0]) == len(sources[1]) == 1:
            yield _reading(site.reference, sources[0][0]), _reading(site.candidate, sources[1][0])
        return
    shape = site.reference.made.shape
    fitting = {
        source.name: source
        for source in (*site.shared(), *everything(site))
        if source.array.shape == shape and source.array.dtype.kind not in "iub"
    }
    made = [view.target for view in (site.reference, site.candidate)]
    for source in list(fitting.values())[:_NEAR]:
        x = np.asarray(source.array, np.float64)
        if not all(may_be_function(x, y) or _are_shares(y) for y in made):
            continue
        yield _reading(site.reference, source), _reading(site.candidate, source)


def _are_shares(y: Numbers) -> bool:
    """Rows that sum to 1: a softmax takes more than one element."""
    return bool(y.ndim and np.allclose(y.sum(-1), 1.0))


def _reading(view: View, source: Source) -> Reading:
    return Reading(view, {"x": np.asarray(source.array, np.float64)}, {"x": source.name})


def _compute(reading: Reading, run: Run) -> Numbers:
    return run("function", reading.tensors["x"])


FAMILY = Family("activation", _readings, _compute)
