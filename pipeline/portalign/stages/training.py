"""The pieces of one training iteration, and which iterations are kept.

The free run (`backward`), the grafted pass on the first batch (`graft`) and the state-grafted
iterations (`chain`) are made of the same pieces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from portalign.errors import CaptureError
from portalign.frameworks.base import Batch, Model
from portalign.frameworks.trainer import Tensor, Trainer
from portalign.records import Kind, Precision, Structure, TensorKey
from portalign.request import CaptureRequest
from portalign.stages.calling import blame, call_model
from portalign.stages.denominators import Divided
from portalign.stages.recorder import Recorder
from portalign.stages.session import Session, tensors_of

LossFunction = Callable[[object, Mapping[str, Tensor]], Tensor]
# Below this many bytes of float32 state times iterations every iteration's tensors are kept:
# gradients and weights, native and float64, then stay under 4 GB a side.
KEEP_ALL_BYTES = 640 * 2**20


def kept_iterations(request: CaptureRequest, structure: Structure | None) -> frozenset[int]:
    """Iterations whose gradients are kept in full; the weights after each of them are kept too.

    All of them for small models; the first and the last otherwise, for 110 M parameters over ten
    iterations would be 50 GB. An explicit `record:` in the port file decides in every case; with
    `losses` it is none.
    """
    if request.records == "losses":
        return frozenset()
    if request.record_iterations:
        return frozenset(request.record_iterations)
    state = (e for e in (structure.state if structure else ()) if e.tied_to is None)
    n_bytes = request.iterations * sum(4 * math.prod(entry.shape) for entry in state)
    everything = range(request.iterations)
    return frozenset(everything if n_bytes <= KEEP_ALL_BYTES else {0, request.iterations - 1})


def training(session: Session, model: Model, precision: Precision) -> tuple[Trainer, LossFunction]:
    """A fresh trainer and the loss function of this side.

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
    if not session.optimizer[0]:  # natively; a twin's arguments are rounded
        session.optimizer = trainer.described()
    loss = framework.loss(request.loss, request.settings, other_framework=request.other_framework)
    return trainer, loss


def rounded_constants(session: Session) -> tuple[str, ...]:
    """What the float64 twin of the optimizer and of the loss evens out, one sentence each."""
    request, other = session.request, session.request.other_framework
    specs = [request.optimizer, request.loss]
    notes = [
        session.framework.rounded_constants(spec, other_framework=other)
        for spec in specs
        if spec is not None and not (spec is request.loss and spec.function)
    ]
    return tuple(note for each in notes for note in each)


def forward_for_loss(
    session: Session, model: Model, batch: Batch, precision: Precision
) -> tuple[object, dict[str, Tensor]]:
    """What a loss function takes: the model's output with its graph, and the batch's tensors."""
    output = call_model(session, model, batch, precision, grad=True)
    return output, tensors_of(session, batch, precision)


def batches_of_iteration(
    request: CaptureRequest, batches: Sequence[Batch], iteration: int
) -> list[Batch]:
    """The batches of one training iteration, in order; from the first again where they run out."""
    first = iteration * request.accumulate
    return [batches[(first + i) % len(batches)] for i in range(request.accumulate)]


def forward_and_backward(
    session: Session,
    model: Model,
    batches: Sequence[Batch],
    trainer: Trainer,
    loss_function: LossFunction,
    key: TensorKey,
    divided: Divided | None = None,
) -> None:
    """Run the model and backward from its loss, batch by batch; record their mean under `key`.

    Args:
        divided: looks at each batch's loss before backward.
    """
    losses: list[Tensor] = []
    uncut: list[Tensor] = []
    is_cut = False
    for call, batch in enumerate(batches):
        taken = forward_for_loss(session, model, batch, key.precision)
        with blame("the loss", session.request):
            said, meant = session.framework.uncut(partial(loss_function, *taken))
            loss = _share(said, len(batches))
            if divided:
                divided(*taken, said, call)
        losses.append(loss.detach())
        uncut.append(loss.detach() if meant is None else _share(meant, len(batches)))
        is_cut = is_cut or meant is not None
        with blame("backward from the loss", session.request):
            trainer.backward(loss)
    whole = sum(losses[1:], losses[0])
    session.recorder.tensor(key, whole)
    if is_cut:
        without = sum(uncut[1:], uncut[0])
        session.recorder.tensor(replace(key, kind=Kind.UNCUT), without)
        session.notes += _cut_note(session, key, whole, without)


def _share(loss: Tensor, n_batches: int) -> Tensor:
    """As one number, for a loss of shape [1] on one side is the same loss."""
    return loss.reshape([]) / n_batches if n_batches > 1 else loss.reshape([])


def _cut_note(session: Session, key: TensorKey, loss: Tensor, uncut: Tensor) -> list[str]:
    if key.precision is not Precision.NATIVE:
        return []
    said, meant = (float(session.framework.numpy(each)) for each in (loss, uncut))
    name = session.framework.name
    return [
        f"{name} cuts exponents of the loss off: it says {said:.6g} in iteration {key.iteration}, "
        f"and without the cut {meant:.6g}, which is compared with a side that doesn't cut"
    ]


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


def record_state(
    session: Session,
    recorder: Recorder,
    model: Model,
    iteration: int,
    precision: Precision,
    *,
    kinds: tuple[Kind, ...] = (Kind.PARAMETER, Kind.BUFFER),
) -> None:
    """Record every parameter and buffer, of these kinds, as it stands before `iteration`."""
    entries = {e.name: e for e in (session.structure.state if session.structure else ())}
    for name, tensor in session.framework.state(model):
        entry = entries.get(name)  # None: an attribute that a forward pass left behind
        if entry is not None and entry.tied_to is None and entry.kind in kinds:
            key = TensorKey(entry.kind, entry.module, entry.slot, 0, iteration, precision)
            recorder.tensor(key, tensor, module_type=entry.module_type)
