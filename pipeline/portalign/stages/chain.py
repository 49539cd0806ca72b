"""The state-grafted iterations: the candidate goes through each kept iteration once more, and every
link of it works on the reference's own values.

Weights, buffers and optimizer state are the reference's before that iteration; the loss is computed
on the reference's outputs, backward goes on from the reference's gradient of them, the optimizer
gets the reference's clipped gradients and learning rates. So no difference reaches the next link or
the next iteration, and what differs is that link's own doing. Runs after both captures are
complete, lifted where there is a twin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np

from portalign.frameworks.base import Batch, Model
from portalign.frameworks.trainer import Exchange, Tensor
from portalign.mapping.pair import pair
from portalign.mapping.weights import WeightPlan, carry, carry_slots
from portalign.records import Array, Kind, Precision, Role, TensorKey, Trace
from portalign.stages import exchange, weights
from portalign.stages.batches import batches_of, first_batches
from portalign.stages.calling import blame
from portalign.stages.denominators import denominators
from portalign.stages.draws import replayed
from portalign.stages.handover import (
    CLIPPED,
    COEFFICIENT,
    RATE,
    record_coefficients,
    record_optimizer,
    record_rates,
    root_only,
)
from portalign.stages.recorder import Recorder
from portalign.stages.session import Session, at_precision
from portalign.stages.training import (
    batches_of_iteration,
    forward_and_backward,
    kept_iterations,
    record_gradients,
    record_state,
    training,
)
from portalign.store import TraceWriter, read_trace
from portalign.store.layout import ITERATIONS

_Values = Mapping[str, Array]


@final
@dataclass(frozen=True, slots=True)
class _Given:
    """The reference's values by kind, iteration and name; slots of the model's outputs besides.

    Attributes:
        states: (kind, iteration) -> full parameter or buffer name -> array.
        slots: (kind, iteration) -> parameter name -> slot -> array.
        outputs: (kind, iteration, candidate's slot, call) -> array.
    """

    states: dict[tuple[Kind, int], dict[str, Array]] = field(default_factory=dict)
    slots: dict[tuple[Kind, int], dict[str, dict[str, Array]]] = field(default_factory=dict)
    outputs: dict[tuple[Kind, int, str, int], Array] = field(default_factory=dict)


def run(session: Session, model: Model) -> None:
    """Run them all and write the trace ``<step>/iterations/candidate``; keys are its own."""
    precision = session.precisions[-1]
    writer = TraceWriter(session.folder / ITERATIONS / session.request.role.value)
    grafted = Session(
        session.request,
        session.framework,
        Recorder(session.framework, writer),
        session.flags,
        session.precisions,
        structure=session.structure,
        plan=session.plan,
    )
    with session.timed(ITERATIONS), at_precision(grafted, model, precision):
        _run_all(grafted, model, precision)
    writer.finish(session.info())


def _run_all(session: Session, model: Model, precision: Precision) -> None:
    kept = sorted(kept_iterations(session.request, session.structure))
    batches = batches_of(exchange.await_trace(session.folder / exchange.INPUTS))
    given = _given(session, precision)
    if session.request.has_own_batches:
        _record_batches(session, kept)
    _record_rates(session, model, frozenset(kept), precision)
    for iteration in kept:
        taken = batches_of_iteration(session.request, batches, iteration)
        _run_one(session, model, taken, given, iteration, precision)


def _record_batches(session: Session, kept: Sequence[int]) -> None:
    """What the candidate's own data function yields; it is trained on the reference's."""
    request = session.request
    own = first_batches(request, (max(kept) + 1) * request.accumulate)
    for iteration in kept:
        for call, batch in enumerate(batches_of_iteration(request, own, iteration)):
            for name, array in batch.items():
                key = TensorKey(Kind.INPUT, name, call=call, iteration=iteration)
                session.recorder.array(key, array)


def _record_rates(
    session: Session, model: Model, kept: frozenset[int], precision: Precision
) -> None:
    """The candidate's own learning rates: its schedule needs no training to run."""
    trainer, _ = training(session, model, precision)
    trainer.reset()
    with blame("the LR scheduler", session.request):
        trainer.update()  # of no gradient: torch warns of schedulers that step before it
        for iteration in range(max(kept) + 1):
            if iteration in kept:
                record_rates(session.recorder, trainer, iteration, precision)
            trainer.schedule()


def _run_one(
    session: Session,
    model: Model,
    batches: Sequence[Batch],
    given: _Given,
    iteration: int,
    precision: Precision,
) -> None:
    framework, recorder, plan = session.framework, session.recorder, session.plan
    values = given.states[Kind.PARAMETER, iteration]
    framework.load(model, weights.released(carry(plan, lambda name: values[name])))
    trainer, loss_function = training(session, model, precision)
    # Learning rates first: paddle's RMSProp keeps its momentum multiplied by them.
    trainer.put_learning_rates(_numbers(plan, given, Kind.LR, RATE, iteration))
    trainer.put_state(carry_slots(plan, given.slots.get((Kind.OPTIMIZER_STATE, iteration), {})))
    trainer.reset()
    sink = root_only(recorder.sink(iteration=iteration, precision=precision))

    def replacement(kind: Kind, path: str, slot: str, call: int) -> Array | None:
        return None if path else given.outputs.get((kind, iteration, slot, call))

    with (
        replayed(session, model, iteration),
        framework.graft(model, replacement, sink, gradients=True),
    ):
        key = TensorKey(Kind.LOSS, "loss", "", 0, iteration, precision)
        divided = denominators(session, recorder, iteration, precision)
        forward_and_backward(session, model, batches, trainer, loss_function, key, divided)
    record_gradients(session, trainer, iteration, precision)
    gradients = dict(_carried(plan, given.states.get((Kind.GRADIENT, iteration), {})))
    trainer.put_gradients(gradients)
    clipped = _clipped(session, given, gradients, iteration, precision)
    with blame("the optimizer", session.request):
        clipping = trainer.update(clipped)
    record_coefficients(recorder, clipping, iteration, precision)
    record_optimizer(recorder, trainer, iteration + 1, precision)
    record_state(session, recorder, model, iteration + 1, precision)


def _clipped(
    session: Session, given: _Given, gradients: _Values, iteration: int, precision: Precision
) -> Exchange:
    """Gives the optimizer the gradients as the reference clipped them."""
    plan = session.plan
    coefficients = _numbers(plan, given, Kind.GRADIENT_NORM, COEFFICIENT, iteration)
    kept = given.slots.get((Kind.GRADIENT, iteration), {})
    whole = dict(_carried(plan, {n: slots[CLIPPED] for n, slots in kept.items()}))

    def instead(name: str, gradient: Tensor) -> Tensor | None:
        array = whole.get(name)
        if array is None and name in gradients and name in coefficients:
            array = gradients[name] * np.asarray(coefficients[name], gradients[name].dtype)
        if array is None:
            return None
        shape = session.framework.numpy(gradient).shape
        return session.framework.tensor(np.reshape(array, shape), precision=precision)

    return instead


def _numbers(
    plan: WeightPlan, given: _Given, kind: Kind, slot: str, iteration: int
) -> dict[str, float]:
    slots = given.slots.get((kind, iteration), {})
    found = carry_slots(plan, {n: {slot: s[slot]} for n, s in slots.items() if slot in s})
    return {name: float(values[slot]) for name, values in found.items()}


def _carried(plan: WeightPlan, values: _Values) -> Iterator[tuple[str, Array]]:
    """Candidate name and values of every tensor whose reference tensors all have one."""
    for entry in plan.entries:
        arrays = [values[name] for name in entry.reference if name in values]
        if len(arrays) == len(entry.reference):
            yield from zip(entry.candidate, entry.layout.forward_all(arrays), strict=True)


def _given(session: Session, precision: Precision) -> _Given:
    """All that the reference recorded of its iterations, where the candidate needs it."""
    reference = exchange.await_trace(session.folder / Role.REFERENCE.value)
    handed = exchange.await_trace(session.folder / ITERATIONS / Role.REFERENCE.value)
    initial = exchange.await_trace(weights.folder(session.folder, Role.REFERENCE))
    given = _Given()
    first = _roots(initial)
    parameters = set(first)
    for record in initial.records:
        given.states.setdefault((Kind.PARAMETER, 0), {})[record.key.name] = record.array
    outputs = _output_slots(session, reference)
    for record in (*reference.records, *handed.records):
        key = record.key
        if key.precision is not precision:
            continue
        if key.kind in (Kind.PARAMETER, Kind.BUFFER):
            given.states.setdefault((Kind.PARAMETER, key.iteration), {})[key.name] = record.array
        elif (
            key.kind in (Kind.ACTIVATION, Kind.GRADIENT) and not key.path and (key.slot in outputs)
        ):
            place = (key.kind, key.iteration, outputs[key.slot], key.call)
            given.outputs[place] = record.array
        elif key.kind is Kind.GRADIENT and key.name in parameters:
            given.states.setdefault((Kind.GRADIENT, key.iteration), {})[key.name] = record.array
        elif key.path in parameters:
            by_name = given.slots.setdefault((key.kind, key.iteration), {})
            by_name.setdefault(key.path, {})[key.slot] = record.array
    for values in given.states.values():
        values.update({n: values[r] for n, r in first.items() if r in values})
    return given


def _roots(initial: Trace) -> dict[str, str]:
    """Every name of the reference's state -> the name it is recorded under."""
    structure = initial.info.structure if initial.info else None
    entries = structure.state if structure else ()
    return {entry.name: entry.tied_to or entry.name for entry in entries}


def _output_slots(session: Session, reference: Trace) -> dict[str, str]:
    """The reference's slot of each output of the model -> the candidate's."""
    own = read_trace(session.request.side_folder())
    pairing = pair(reference, own, session.plan, outputs=session.request.outputs)
    return {
        each.reference.key.slot: each.candidate.key.slot
        for each in pairing.pairs
        if each.reference.key.kind is Kind.ACTIVATION
        and not each.reference.key.path
        and not each.candidate.key.path
        and each.reference.key.slot.startswith("out.")
        and each.reference.array.shape == each.candidate.array.shape
    }
