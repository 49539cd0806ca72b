"""A gated unit: a function of one tensor times another (SwiGLU, GEGLU), packed ones too."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np

from portalign.diagnose.evidence import Numbers, Site, View, everything
from portalign.diagnose.family import Family, Reading, Run
from portalign.diagnose.functions import may_be_function

_NEAR = 4  # earlier tensors of the same shape that may be gate or up


def _readings(site: Site) -> Iterator[tuple[Reading, Reading]]:
    made = [view.target for view in (site.reference, site.candidate)]
    for gate, up, names in _operands(site):
        if not all(_may_be_gated(gate, up, y) for y in made):
            continue
        tensors = {"gate": gate, "up": up}
        yield _reading(site.reference, tensors, names), _reading(site.candidate, tensors, names)


def _operands(site: Site) -> Iterator[tuple[Numbers, Numbers, dict[str, str]]]:
    shape = site.reference.made.shape
    near = [
        source
        for source in everything(site)
        if source.array.dtype.kind not in "iub" and source.array.ndim == len(shape) > 1
    ]
    alike = [source for source in near if source.array.shape == shape][:_NEAR]
    for gate, up in permutations(alike, 2):
        yield (
            np.asarray(gate.array, np.float64),
            np.asarray(up.array, np.float64),
            {"gate": gate.name, "up": up.name},
        )
    for packed in near[:_NEAR]:
        if packed.array.shape == (*shape[:-1], 2 * shape[-1]):
            halves = np.split(np.asarray(packed.array, np.float64), 2, axis=-1)
            names = {"gate": f"{packed.name} first half", "up": f"{packed.name} second half"}
            yield halves[0], halves[1], names


def _may_be_gated(gate: Numbers, up: Numbers, y: Numbers) -> bool:
    """What was made, over one of the two, may be a function of the other, whichever is the gate."""
    with np.errstate(all="ignore"):
        return any(may_be_function(a, y / b) for a, b in ((gate, up), (up, gate)))


def _reading(view: View, tensors: dict[str, Numbers], names: dict[str, str]) -> Reading:
    return Reading(view, tensors, names)


def _compute(reading: Reading, run: Run) -> Numbers:
    gate = run("gate", reading.tensors["gate"])
    return run("function", gate) * run("up", reading.tensors["up"])


FAMILY = Family("gated", _readings, _compute)
