"""Places as the grafted pass shows them, made of a few arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from portalign.diagnose.evidence import Site, Source, View
from portalign.diagnose.scored import BATCHES
from portalign.findings import Origin, OriginKind
from portalign.request import Json

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Seeded:
    """A planted fault and what must be said of it.

    Attributes:
        rule: the name that must come first.
        faulty: the place with the fault.
        clean: the same place written in another way without it: nothing must be named.
        fitted: values that must be found, to five digits.
        says: words that the claim must hold.
        is_hint: no repair can be computed.
        twin: of a fault of precision: the place in float64, where both sides agree.
    """

    rule: str
    faulty: Site
    clean: Site
    fitted: Mapping[str, float] = field(default_factory=dict)
    says: str = ""
    is_hint: bool = False
    twin: Site | None = None


def random(*shape: int, seed: int = 0) -> Numbers:
    return np.random.default_rng(seed).normal(size=shape)


def module(
    reference: Numbers,
    candidate: Numbers,
    *,
    inputs: Mapping[str, npt.NDArray[np.generic]],
    state: Mapping[str, Numbers] | None = None,
    other_state: Mapping[str, Numbers] | None = None,
    module_type: str = "Module",
) -> Site:
    """A module's output on equal inputs; `other_state` where the candidate's weights differ."""
    sources = tuple(
        Source(f"fc {slot}", "fc", slot, module_type, array) for slot, array in inputs.items()
    )
    views = (
        View(made, sources, sources, _named(values), "fc", module_type)
        for made, values in ((reference, state), (candidate, other_state or state))
    )
    return Site(Origin("fc out.0", OriginKind.MODULE, "fc", "out.0"), *views)


def glue(
    reference: Numbers,
    candidate: Numbers,
    *,
    earlier: Mapping[str, npt.NDArray[np.generic]],
    state: Mapping[str, Numbers] | None = None,
    other_state: Mapping[str, Numbers] | None = None,
) -> Site:
    """What arrives at a module; `earlier` in execution order, "path slot" to values."""
    sources = tuple(
        Source(name, *name.split(" ")[:2], "Linear", array)
        for name, array in reversed(earlier.items())
    )
    views = (
        View(made, (), sources, dict(values or {}), "fc", "")
        for made, values in ((reference, state), (candidate, other_state or state))
    )
    label = "glue before fc in.0"
    return Site(Origin(label, OriginKind.GLUE, "fc", "in.0"), *views)


def gradient(
    reference: Numbers,
    candidate: Numbers,
    *,
    slot: str = "out.0",
    sources: Mapping[str, npt.NDArray[np.generic]] | None = None,
    own: Numbers | None = None,
    name: str = "",
    state: Mapping[str, Numbers] | None = None,
    trainable: tuple[bool, bool] | None = None,
) -> Site:
    """A gradient; `sources` nearest first, "grad path slot" for those that are gradients too.

    Args:
        own: the forward tensor whose gradient it is. name: of it, if it has another than the slot
            of the module.
        state: by slot of the module itself, or by full name.
    """
    earlier = tuple(
        Source(n, *n.removeprefix("grad ").split(" "), "", array)
        for n, array in (sources or {}).items()
    )
    inputs = () if own is None else (Source(name or f"fc {slot}", "fc", slot, "", own),)
    free = [{} if trainable is None else {"trainable": each} for each in trainable or (True, True)]
    views = (
        View(made, inputs, earlier, _named(state), "fc", "", settings)
        for made, settings in zip((reference, candidate), free, strict=True)
    )
    return Site(Origin("backward of fc", OriginKind.BACKWARD, "fc", slot), *views)


def loss(
    reference: Numbers,
    candidate: Numbers,
    *,
    scores: Numbers,
    labels: npt.NDArray[Any],
    n_batches: int = 1,
) -> Site:
    """A loss: its value, then its gradient at the scores, flattened; of batches that are
    accumulated, one behind the other.
    """
    inputs = (
        Source("out.logits", "", "out.logits", "", scores),
        Source("labels", "", "labels", "", labels),
    )
    settings: dict[str, Json] = {BATCHES: n_batches}
    views = (View(made, inputs, inputs, {}, "", "", settings) for made in (reference, candidate))
    return Site(Origin("loss loss", OriginKind.LOSS, "loss"), *views)


def in_float32(site: Site) -> Site:
    """The same place as float32 captures show it."""
    views = (
        replace(view, made=view.made.astype(np.float32), precision="float32")
        for view in (site.reference, site.candidate)
    )
    return Site(site.origin, *views)


def pair(
    make: Callable[..., Numbers], right: object, wrong: object, again: Numbers | None = None
) -> tuple[tuple[Numbers, Numbers], tuple[Numbers, Numbers]]:
    """(reference, candidate) of the fault and of its clean twin."""
    reference = make(right)
    return (reference, make(wrong)), (reference, reference if again is None else again)


def _named(state: Mapping[str, Numbers] | None) -> dict[str, Numbers]:
    return {n if "." in n else f"fc.{n}": values for n, values in (state or {}).items()}
