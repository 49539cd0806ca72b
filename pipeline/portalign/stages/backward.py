"""Step 4 on one side: N training iterations, in native precision and again in float64.

Each iteration: forward, loss, backward, gradients, clipping, learning rate, update, schedule.
Loss, LR, gradient norm and clip coefficient are recorded at every iteration, tensors at those that
`kept_iterations` names. The reference also keeps what its iterations start from, for `chain`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import numpy as np

from portalign.frameworks.base import Model
from portalign.frameworks.trainer import Clipping
from portalign.records import Array, Kind, Precision, TensorKey
from portalign.stages.calling import blame
from portalign.stages.denominators import unknown_denominator
from portalign.stages.draws import replayed
from portalign.stages.handover import Handover, hand_over
from portalign.stages.recording import put_initial
from portalign.stages.session import Session, at_precision, open_model, restore, shared_batches
from portalign.stages.training import (
    batches_of_iteration,
    forward_and_backward,
    kept_iterations,
    record_gradients,
    record_state,
    rounded_constants,
    training,
)


def run(session: Session) -> Model:
    """Train for `iterations` batches and record the state that produces the loss curve."""
    request = session.request
    batches = shared_batches(session, request.iterations * request.accumulate)
    model = open_model(session)
    session.notes += unknown_denominator(session)
    for precision in session.precisions:
        with session.timed(f"backward {precision.value}"):
            if precision is not Precision.NATIVE:
                restore(session, model)
            with at_precision(session, model, precision), hand_over(session, precision) as chain:
                _train(session, model, batches, precision, chain)
    return model


def _train(
    session: Session,
    model: Model,
    batches: list[dict[str, Array]],
    precision: Precision,
    chain: Handover | None,
) -> None:
    trainer, loss_function = training(session, model, precision)
    put_initial(trainer, session.request, session.plan, precision)
    if precision is Precision.FLOAT64:
        session.lifted += rounded_constants(session)
    kept = kept_iterations(session.request, session.structure)
    for iteration in range(session.request.iterations):
        keeper = chain if iteration in kept else None
        if keeper:
            keeper.before(trainer, model, iteration)
        trainer.reset()
        key = TensorKey(Kind.LOSS, "loss", "", 0, iteration, precision)
        taken = batches_of_iteration(session.request, batches, iteration)
        with (
            _drawn(session, model, iteration, precision),
            _watched(session, model, iteration, precision, keeper),
        ):
            divided = keeper.divided(iteration) if keeper else None
            forward_and_backward(session, model, taken, trainer, loss_function, key, divided)
        if iteration in kept:
            record_gradients(session, trainer, iteration, precision)
        rate = trainer.learning_rate()
        with blame("the optimizer", session.request):
            clipping = trainer.update(keeper.exchange(iteration) if keeper else None)
        _tell_within(session, clipping)
        if keeper:
            keeper.after(trainer, clipping, iteration)
        with blame("the optimizer", session.request):
            trainer.schedule()
        _record_numbers(session, clipping, rate, iteration, precision)
        if iteration in kept:
            record_state(session, session.recorder, model, iteration + 1, precision)
        elif session.request.mode == "train":  # statistics are small, and made step by step
            buffers = (Kind.BUFFER,)
            record_state(session, session.recorder, model, iteration + 1, precision, kinds=buffers)


def _tell_within(session: Session, clipping: Clipping) -> None:
    role = session.request.role.value
    note = (
        f"the {role}'s optimizer changes gradients within a step that is all its own: its clipping "
        "is part of its update, and isn't compared by itself"
    )
    if clipping.is_within and note not in session.notes:
        session.notes.append(note)


def _drawn(
    session: Session, model: Model, iteration: int, precision: Precision
) -> AbstractContextManager[None]:
    """Replay random numbers, and note those of the first iteration for the report."""
    is_first = not iteration and precision is Precision.NATIVE
    noted = session.recorder if is_first else None
    return replayed(session, model, iteration, recorder=noted)


def _watched(
    session: Session, model: Model, iteration: int, precision: Precision, keeper: Handover | None
) -> AbstractContextManager[None]:
    """Watch activations and their gradients in the first iteration, while both sides still have
    equal weights; later what the model gives out, where that is handed over.
    """
    if session.request.records == "losses":
        return nullcontext()
    if not iteration:
        sink = session.recorder.sink(iteration=0, precision=precision)
        return session.framework.watch(model, sink, gradients=True)
    return keeper.watched(model, iteration) if keeper else nullcontext()


def _record_numbers(
    session: Session, clipping: Clipping, rate: float, iteration: int, precision: Precision
) -> None:
    # Norms come from the gradients and are no better than they; the learning rate is a double.
    dtype = np.float64 if precision is Precision.FLOAT64 else np.float32
    numbers = [
        (Kind.GRADIENT_NORM, "global", "norm", np.asarray(clipping.norm, dtype)),
        (Kind.GRADIENT_NORM, "global", "clip_coefficient", np.asarray(clipping.coefficient, dtype)),
        (Kind.LR, "lr", "", np.asarray(rate, np.float64)),
    ]
    if session.request.records == "losses":
        numbers = numbers[-1:]
    for kind, path, slot, array in numbers:
        key = TensorKey(kind, path, slot, 0, iteration, precision)
        session.recorder.array(key, array)
