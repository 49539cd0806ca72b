"""A recorded training as the start of a run: its batches, its initial state, its optimizer's.

What `portalign.recorder` wrote is checked here and refused as a whole where it is cut short, made
by another framework, or of another model than `build` returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from portalign.errors import InputError, TraceError
from portalign.frameworks.base import Framework, Model
from portalign.frameworks.trainer import Trainer
from portalign.mapping.weights import WeightPlan, carry_slots
from portalign.records import Array, Kind, Precision, Role, Structure, Trace
from portalign.request import CaptureRequest
from portalign.stages.batches import batches_of
from portalign.stages.weights import released
from portalign.store import read_trace
from portalign.store.layout import RECORDED_BATCHES, RECORDED_STATE

_NAMED = 3  # names that a complaint lists
_AGAIN = "record the training again (portalign.recorder)"


def recorded_batches(request: CaptureRequest) -> list[dict[str, Array]]:
    """The recorded batches, in order.

    Raises:
        InputError: the recording isn't there, was cut short or is damaged.
    """
    return batches_of(_part(request, RECORDED_BATCHES))


def load_initial(
    framework: Framework, model: Model, structure: Structure, request: CaptureRequest
) -> str:
    """Put the recorded parameters and buffers into the reference's model.

    Returns:
        The mode it was trained in, "train" or "eval".

    Raises:
        InputError: the recording is unusable, of another framework, or of another model.
        CaptureError: a shape isn't the model's.
    """
    trace = _part(request, RECORDED_STATE)
    made_by = trace.info.framework if trace.info else ""
    if made_by != framework.name:
        raise InputError(
            f"{trace.folder} was recorded in {made_by or 'an unknown framework'}, the reference "
            f"runs in {framework.name}",
            why="its initial state is for the reference",
            do=f"record a training of the reference, or set `framework: {made_by}` for it",
        )
    values = {r.key.name: r.array for r in trace.records if r.key.kind is not Kind.OPTIMIZER_STATE}
    own = [entry.name for entry in structure.state if entry.tied_to is None]
    _check_names(trace, [name for name in own if name not in values], set(values) - set(own))
    framework.load(model, released(values.items()))
    return trace.info.mode if trace.info else ""


def put_initial(
    trainer: Trainer, request: CaptureRequest, plan: WeightPlan, precision: Precision
) -> None:
    """Let a fresh optimizer keep what the recorded one kept; nothing if that kept nothing.

    In float64 powers of beta follow from the step count: those that were kept in float32 are off by
    1e-7.

    Args:
        plan: from the reference's parameters to this side's; of the reference itself, empty.
    """
    if not request.recording:
        return
    slots: dict[str, dict[str, Array]] = {}
    for record in _part(request, RECORDED_STATE).records:
        if record.key.kind is Kind.OPTIMIZER_STATE:
            slots.setdefault(record.key.path, {})[record.key.slot] = record.array
    if precision is Precision.FLOAT64:
        slots = {name: _without_powers(kept) for name, kept in slots.items()}
    if slots:
        is_reference = request.role is Role.REFERENCE
        trainer.put_state(slots if is_reference else carry_slots(plan, slots))


def _without_powers(kept: dict[str, Array]) -> dict[str, Array]:
    if "step" not in kept:
        return kept
    return {slot: array for slot, array in kept.items() if not slot.endswith("_power")}


def _part(request: CaptureRequest, name: str) -> Trace:
    folder = Path(request.recording) / name
    try:
        trace = read_trace(folder)
    except TraceError as err:
        raise InputError(
            f"the recording {request.recording} can't be used: {err.found}",
            why="both sides are to be fed exactly what was recorded",
            do=_AGAIN,
        ) from err
    if not trace.is_complete or not trace.records:
        n = len(batches_of(trace)) if name == RECORDED_BATCHES else len(trace.records)
        raise InputError(
            f"the recording {request.recording} was cut short: {name} holds {n} "
            f"{name if name == RECORDED_BATCHES else 'tensors'} and no mark of its end",
            why="what is missing can't be told from what was never there",
            do=f"{_AGAIN} and let the loop get as far as its last batch, or ask for fewer: "
            "record(..., n_batches=...)",
        )
    return trace


def _few(names: Sequence[str]) -> str:
    return ", ".join([*sorted(names)[:_NAMED], *["..."] * (len(names) > _NAMED)])


def _check_names(trace: Trace, missing: Sequence[str], surplus: Iterable[str]) -> None:
    if not missing and not surplus:
        return
    found = [
        f"{len(names)} {what} ({_few(names)})"
        for names, what in (
            (missing, "of the model's tensors are not in it"),
            (list(surplus), "of its tensors are not in the model"),
        )
        if names
    ]
    raise InputError(
        f"{trace.folder} is of another model: {'; '.join(found)}",
        why="the run must start from the recorded state and from nothing else",
        do="let `build` return the model that was trained; of a wrapped one (data parallel, "
        "compiled) record the model inside",
    )
