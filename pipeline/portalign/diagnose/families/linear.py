"""A linear layer: every row of the input times a matrix, plus a bias; a head called by hand too."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portalign.diagnose.evidence import Numbers, Site, View, everything
from portalign.diagnose.family import Family, Reading, Run
from portalign.findings import OriginKind

_NEAR = 4  # earlier tensors and matrices of the model that code between modules may multiply


def _readings(site: Site) -> Iterator[tuple[Reading, Reading]]:
    if site.origin.kind is not OriginKind.MODULE:
        yield from _called(site)
        return
    for is_turned in (False, True):  # a framework may keep [in, out]
        ours = _reading(site.reference, site.reference, is_turned=is_turned)
        theirs = _reading(site.candidate, site.reference, is_turned=is_turned)
        if ours and theirs:
            yield ours, theirs


def _reading(view: View, reference: View, *, is_turned: bool) -> Reading | None:
    weight, bias = (reference.own_state().get(slot) for slot in ("weight", "bias"))
    if weight is None or weight.ndim != 2 or len(view.inputs) != 1 or not view.target.ndim:
        return None
    x = np.asarray(view.inputs[0].array, np.float64)
    matrix = np.asarray(weight.T if is_turned else weight, np.float64)  # [out, in]
    if not x.ndim or matrix.shape != (view.target.shape[-1], x.shape[-1]):
        return None
    tensors = {"x": x, "weight": matrix}
    if bias is not None:
        tensors["bias"] = np.asarray(bias, np.float64)
    return Reading(view, tensors, {"turned": "yes"} if is_turned else {})


def _called(site: Site) -> Iterator[tuple[Reading, Reading]]:
    """A matrix of the model's that code between modules applies: a head tied to the embedding."""
    made = site.reference.target
    sources = [
        source
        for source in everything(site)
        if source.array.ndim == made.ndim > 1
        and source.array.shape[:-1] == made.shape[:-1]
        and source.array.dtype.kind not in "iub"
    ][:_NEAR]
    for source in sources:
        shape = (made.shape[-1], source.array.shape[-1])  # [out, in]
        fitting = [n for n, a in site.reference.state.items() if a.shape in (shape, shape[::-1])]
        for name in fitting if len(fitting) <= _NEAR else ():
            matrix = np.asarray(site.reference.state[name], np.float64)
            tensors = {
                "x": np.asarray(source.array, np.float64),
                "weight": matrix if matrix.shape == shape else matrix.T,
            }
            names = {"x": source.name, "weight": name}
            others = {each.name: each.array for each in sources}
            yield (
                Reading(site.reference, tensors, names, others),
                Reading(site.candidate, tensors, names, others),
            )


def _compute(reading: Reading, run: Run) -> Numbers:
    x = run("input", reading.tensors["x"])  # [..., in]
    weight = run("weight", reading.tensors["weight"])  # [out, in]
    made = run("product", x @ weight.T)  # [..., out]
    if "bias" in reading.tensors:
        made = made + run("bias", reading.tensors["bias"])
    return run("output", made)


FAMILY = Family("linear", _readings, _compute)
