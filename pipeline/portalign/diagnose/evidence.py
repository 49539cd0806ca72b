"""What a diagnosis works from: the captures of a step, and each origin seen from both sides.

A rule sees `Site`s and nothing else, so it can't know what was planted, nor where else it differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt

from portalign.compare.chain import Link
from portalign.findings import Origin
from portalign.mapping.pair import Pairing
from portalign.records import Array, Trace
from portalign.request import Json
from portalign.results import Comparison, Divergence

Numbers = npt.NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True)
class Evidence:
    """A concluded step.

    Attributes:
        reference, candidate: the traces, each side's initial state first.
        graft: folder of the grafted pass; there need not be one.
        inputs: folder of the batches that both sides were fed; None where it isn't known.
        settings: the port, as `Port.as_dict` has it.
        links: of the state-grafted iterations.
        arrived: what the candidate made on the reference's own tensors, where that isn't what the
            grafted pass left on disk.
    """

    reference: Trace
    candidate: Trace
    graft: Path
    pairing: Pairing
    comparisons: tuple[Comparison, ...]
    divergence: Divergence
    settings: Mapping[str, Json] = field(default_factory=dict)
    inputs: Path | None = None
    links: tuple[Link, ...] = ()
    arrived: Trace | None = None


@final
@dataclass(frozen=True, slots=True)
class Source:
    """A tensor that a side had at hand.

    Attributes:
        name: the same on both sides where they are one tensor: "layers.0.q_proj out.0".
        path, slot: of the reference's module; the candidate's own where it has no partner.
        module_type: class of the module.
        array: what the module's users got; of the candidate this is the reference's value where the
            grafted pass put it in.
    """

    name: str
    path: str
    slot: str
    module_type: str
    array: Array


@final
@dataclass(frozen=True, eq=False)
class View:
    """One side of a place: what it made, and what it had to make it from.

    Attributes:
        made: the tensor that differs, in the reference's layout; read `target` for numbers.
        inputs: of the module, where the origin is a module; empty for glue.
        earlier: every other tensor that was there before, nearest first, each once.
        state: parameters and buffers by the reference's full name, in its layout.
        path: the module's path by the reference's name.
        module_type: class of the module.
        settings: its plain settings, as far as they were captured ("eps": 1e-12).
        precision: dtype of the numbers as they were captured: "float64" where twins are compared.
    """

    made: Array
    inputs: tuple[Source, ...]
    earlier: tuple[Source, ...]
    state: Mapping[str, Array]
    path: str
    module_type: str
    settings: Mapping[str, Json] = field(default_factory=dict)
    precision: str = "float64"

    @cached_property
    def target(self) -> Numbers:
        """What was made, in float64."""
        return np.asarray(self.made, np.float64)

    def own_state(self) -> dict[str, Array]:
        """Parameters and buffers of the module itself by their short names."""
        prefix = f"{self.path}." if self.path else ""
        return {
            name.removeprefix(prefix): array
            for name, array in self.state.items()
            if name.startswith(prefix) and "." not in name.removeprefix(prefix)
        }


@final
@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """An origin with both sides' views of it."""

    origin: Origin
    reference: View
    candidate: View

    def shared(self) -> tuple[Source, ...]:
        """Earlier tensors that both sides had, nearest first."""
        names = {source.name for source in self.candidate.earlier}
        return tuple(source for source in self.reference.earlier if source.name in names)


def everything(site: Site) -> tuple[Source, ...]:
    """What the reference had, nearest first, then what only the candidate had by then."""
    found = {source.name: source for source in site.reference.earlier}
    for source in site.candidate.earlier:
        found.setdefault(source.name, source)
    return tuple(found.values())


def common_path(one: str, other: str) -> str:
    """The innermost module that holds both; "" for the root.

    >>> common_path("layers.1.mlp.up", "layers.1.mlp.gate")
    'layers.1.mlp'
    """
    parts = zip(one.split("."), other.split("."), strict=False)
    return ".".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], parts))
