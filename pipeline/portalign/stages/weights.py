"""A model's state on its way: published by each side, carried from reference to candidate, put
back.

Values are read from disk one tensor at a time and their pages given back at once, so that carrying
costs no second copy of the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from portalign.errors import CaptureError
from portalign.frameworks.base import Framework, Model
from portalign.mapping.names import match_state
from portalign.mapping.weights import WeightPlan, carry
from portalign.records import Array, Role, Structure, TensorKey, Trace
from portalign.request import Json
from portalign.store.layout import WEIGHTS
from portalign.store.pages import release


def folder(step_folder: Path, role: Role) -> Path:
    """Where a side's initial state is published."""
    return step_folder / WEIGHTS / role.value


def own_state(
    framework: Framework, model: Model, structure: Structure
) -> Iterator[tuple[TensorKey, Array, str]]:
    """Key, values and module type of every parameter and buffer, tied ones once."""
    tensors = dict(framework.state(model))
    for entry in structure.state:
        if entry.tied_to is None:
            key = TensorKey(entry.kind, entry.module, entry.slot)
            yield key, framework.numpy(tensors[entry.name]), entry.module_type


def load_carried(
    framework: Framework,
    model: Model,
    reference: Trace,
    structure: Structure,
    help_given: Mapping[str, Json],
) -> WeightPlan:
    """Load the reference's published state into the candidate's model.

    Args:
        structure: the candidate's.
        help_given: the port file's `weights:`.

    Returns:
        Which tensor went where.

    Raises:
        MappingError: a tensor can't be matched without guessing.
    """
    if reference.info is None or reference.info.structure is None:
        raise CaptureError(
            f"{reference.folder} doesn't say how the reference is built",
            why="weights are matched by the structure of both sides",
            do="run the step again",
        )
    theirs = reference.info.structure
    plan = match_state(
        theirs,
        structure,
        rename=help_given.get("rename", []),
        layout=help_given.get("layout", {}),
        is_carried=help_given.get("carry", True),
    )
    by_name = {record.key.name: record.array for record in reference.records}
    first = {entry.name: entry.tied_to or entry.name for entry in theirs.state}
    framework.load(model, released(carry(plan, lambda name: by_name[first[name]])))
    return plan


def load_back(framework: Framework, model: Model, state: Trace) -> None:
    """Load a side's own published state."""
    framework.load(model, released((record.key.name, record.array) for record in state.records))


def released(values: Iterable[tuple[str, Array]]) -> Iterator[tuple[str, Array]]:
    """Pass values on; the pages of each are given back once it has been used."""
    for name, array in values:
        yield name, array
        release(array)
