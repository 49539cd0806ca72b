"""Step 4 on one side: N training iterations, in native precision and again in float64.

Each iteration: forward, loss, backward, gradients, clipping, learning rate, update, schedule.
Loss, LR, gradient norm and clip coefficient are recorded at every iteration, tensors at those that
`kept_iterations` names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from portalign.errors import CaptureError
from portalign.frameworks.base import Batch, Clipping, Model, Tensor, Trainer
from portalign.records import Array, Kind, Precision, Structure, TensorKey
from portalign.request import CaptureRequest
from portalign.stages.calling import blame, call_model
from portalign.stages.draws import replayed
from portalign.stages.session import (
    Session,
    at_precision,
    open_model,
    restore,
    shared_batches,
    tensors_of,
)

# Below this many bytes of float32 state times iterations every iteration's tensors are kept:
# gradients and weights, native and float64, then stay under 4 GB a side.
KEEP_ALL_BYTES = 640 * 2**20


def run(session: Session) -> Model:
    """Train for `iterations` batches and record the state that produces the loss curve."""
    batches = shared_batches(session, session.request.iterations)
    model = open_model(session)
    for precision in session.precisions:
        with session.timed(f"backward {precision.value}"):
            if precision is not Precision.NATIVE:
                restore(session, model)
            with at_precision(session, model, precision):
                _train(session, model, batches, precision)
    return model


def kept_iterations(request: CaptureRequest, structure: Structure | None) -> frozenset[int]:
    """Iterations whose gradients are kept in full; the weights after each of them are kept too.

    All of them for small models; the first and the last otherwise, for 110 M parameters over ten
    iterations would be 50 GB. An explicit `record:` in the port file decides in every case.
    """
    if request.record_iterations:
        return frozenset(request.record_iterations)
    state = (e for e in (structure.state if structure else ()) if e.tied_to is None)
    n_bytes = request.iterations * sum(4 * math.prod(entry.shape) for entry in state)
    everything = range(request.iterations)
    return frozenset(everything if n_bytes <= KEEP_ALL_BYTES else {0, request.iterations - 1})


def _train(
    session: Session, model: Model, batches: list[dict[str, Array]], precision: Precision
) -> None:
    trainer, loss_function = training(session, model, precision)
    kept = kept_iterations(session.request, session.structure)
    for iteration in range(session.request.iterations):
        trainer.reset()
        batch = batches[iteration % len(batches)]
        with (
            _drawn(session, model, iteration, precision),
            _watched(session, model, iteration, precision),
        ):
            taken = forward_for_loss(session, model, batch, precision)
            with blame("the loss", session.request):
                loss = loss_function(*taken)
            # As one number: a loss of shape [1] on one side is the same loss.
            key = TensorKey(Kind.LOSS, "loss", "", 0, iteration, precision)
            session.recorder.tensor(key, loss.reshape([]))
            with blame("backward from the loss", session.request):
                trainer.backward(loss)
        if iteration in kept:
            record_gradients(session, trainer, iteration, precision)
        rate = trainer.learning_rate()
        with blame("the optimizer", session.request):
            clipping = trainer.update()
            trainer.schedule()
        _record_numbers(session, clipping, rate, iteration, precision)
        if iteration in kept:
            _record_state(session, model, iteration + 1, precision)


def training(
    session: Session, model: Model, precision: Precision
) -> tuple[Trainer, Callable[[object, Mapping[str, Tensor]], Tensor]]:
    """The trainer and the loss function of this side.

    Raises:
        CaptureError: the port file names no loss or no optimizer.
    """
    request, framework = session.request, session.framework
    if request.loss is None or request.optimizer is None:
        raise CaptureError(
            "the port file has no `loss:` or no `optimizer:`",
            why="a backward step needs both",
            do="add them, or leave this step out",
        )
    trainer = framework.trainer(
        model,
        request.optimizer,
        request.lr_scheduler,
        settings=request.settings,
        precision=precision,
        other_framework=request.other_framework,
    )
    loss = framework.loss(request.loss, request.settings, other_framework=request.other_framework)
    if precision is Precision.FLOAT64:
        specs = [request.optimizer, *([] if request.loss.function else [request.loss])]
        for spec in specs:
            other = request.other_framework
            session.lifted += framework.rounded_constants(spec, other_framework=other)
    return trainer, loss


def _drawn(
    session: Session, model: Model, iteration: int, precision: Precision
) -> AbstractContextManager[None]:
    """Replay random numbers, and note those of the first iteration for the report."""
    is_first = not iteration and precision is Precision.NATIVE
    noted = session.recorder if is_first else None
    return replayed(session, model, iteration, recorder=noted)


def _watched(
    session: Session, model: Model, iteration: int, precision: Precision
) -> AbstractContextManager[None]:
    """Watch activations and their gradients in the first iteration, while both sides still have
    equal weights.
    """
    if iteration:
        return nullcontext()
    sink = session.recorder.sink(iteration=0, precision=precision)
    return session.framework.watch(model, sink, gradients=True)


def forward_for_loss(
    session: Session, model: Model, batch: Batch, precision: Precision
) -> tuple[object, dict[str, Tensor]]:
    """What a loss function takes: the model's output with its graph, and the batch's tensors."""
    output = call_model(session, model, batch, precision, grad=True)
    return output, tensors_of(session, batch, precision)


def record_gradients(
    session: Session, trainer: Trainer, iteration: int, precision: Precision
) -> None:
    """Record the unclipped gradient of every trainable parameter."""
    for name, gradient in trainer.gradients():
        path, _, slot = name.rpartition(".")
        key = TensorKey(Kind.GRADIENT, path, slot, 0, iteration, precision)
        if gradient is None:
            session.recorder.writer.skip(key, "this parameter got no gradient")
        else:
            session.recorder.tensor(key, gradient)


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
    for kind, path, slot, array in numbers:
        key = TensorKey(kind, path, slot, 0, iteration, precision)
        session.recorder.array(key, array)


def _record_state(session: Session, model: Model, iteration: int, precision: Precision) -> None:
    entries = {e.name: e for e in (session.structure.state if session.structure else ())}
    for name, tensor in session.framework.state(model):
        entry = entries[name]
        if entry.tied_to is None:
            key = TensorKey(entry.kind, entry.module, entry.slot, 0, iteration, precision)
            session.recorder.tensor(key, tensor, module_type=entry.module_type)
