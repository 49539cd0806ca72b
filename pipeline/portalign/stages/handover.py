"""What the reference's iterations start from and work with: handed over for `chain`.

Goes to a trace of its own beside the reference's, in the one precision that the state-grafted
iterations run in: optimizer state before and after each kept iteration, what the model gives out
and the gradient that comes back to it, what the loss divides by, learning rates and clip
coefficients by parameter. Weights and gradients of kept iterations are in the reference's own trace
and not written twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import final

import numpy as np

from portalign.frameworks.base import Model, Sink
from portalign.frameworks.trainer import Clipping, Exchange, Tensor, Trainer
from portalign.records import Kind, Precision, Role, TensorKey
from portalign.request import CaptureRequest
from portalign.stages.denominators import Divided, denominators
from portalign.stages.recorder import Recorder
from portalign.stages.session import Session
from portalign.stages.training import kept_iterations, record_state
from portalign.store import TraceWriter
from portalign.store.layout import ITERATIONS

RATE, COEFFICIENT, CLIPPED = "rate", "clip_coefficient", "clipped"


@contextmanager
def hand_over(session: Session, precision: Precision) -> Iterator[Handover | None]:
    """A keeper for the reference's last and best precision; None for any other run."""
    request = session.request
    is_last = precision is session.precisions[-1]
    if request.role is not Role.REFERENCE or not is_last or not can_be_grafted(request):
        yield None
        return
    writer = TraceWriter(session.folder / ITERATIONS / request.role.value)
    yield Handover(session, Recorder(session.framework, writer), precision)
    writer.finish(session.info())


def can_be_grafted(request: CaptureRequest) -> bool:
    """The candidate can be given the reference's weights, and what would be compared is kept."""
    return bool(request.weights.get("carry", True)) and request.records != "losses"


@final
class Handover:
    """Keeps what the state-grafted iterations need of a free-running one."""

    def __init__(self, session: Session, recorder: Recorder, precision: Precision) -> None:
        self._session = session
        self._recorder = recorder
        self._precision = precision
        self._kept = kept_iterations(session.request, session.structure)

    def before(self, trainer: Trainer, model: Model, iteration: int) -> None:
        """Keep weights and optimizer state, unless the iteration before left them behind."""
        if iteration and iteration - 1 not in self._kept:
            record_state(self._session, self._recorder, model, iteration, self._precision)
            record_optimizer(self._recorder, trainer, iteration, self._precision)
        elif not iteration and self._session.request.recording:  # else it keeps nothing yet
            record_optimizer(self._recorder, trainer, iteration, self._precision)
        record_rates(self._recorder, trainer, iteration, self._precision)

    def watched(self, model: Model, iteration: int) -> AbstractContextManager[None]:
        """While open, what the model gives out is kept, and the gradient that comes back."""
        sink = root_only(self._recorder.sink(iteration=iteration, precision=self._precision))
        return self._session.framework.watch(model, sink, gradients=True)

    def divided(self, iteration: int) -> Divided | None:
        """Keeps what the loss divides by."""
        return denominators(self._session, self._recorder, iteration, self._precision)

    def exchange(self, iteration: int) -> Exchange | None:
        """Keeps clipped gradients, where they aren't the unclipped ones times a number."""
        if clips_by_scaling(self._session.request):
            return None

        def keep(name: str, gradient: Tensor) -> None:
            self._recorder.tensor(self._key(Kind.GRADIENT, name, CLIPPED, iteration), gradient)

        return keep

    def after(self, trainer: Trainer, clipping: Clipping, iteration: int) -> None:
        """Keep the optimizer state after the update, and what clipping did."""
        record_coefficients(self._recorder, clipping, iteration, self._precision)
        record_optimizer(self._recorder, trainer, iteration + 1, self._precision)

    def _key(self, kind: Kind, path: str, slot: str, iteration: int) -> TensorKey:
        return TensorKey(kind, path, slot, 0, iteration, self._precision)


def clips_by_scaling(request: CaptureRequest) -> bool:
    """Every gradient is clipped by one factor of its own; a porter's function may do anything."""
    spec = request.optimizer
    return spec is not None and not spec.function and spec.args.get("clip_value") is None


def root_only(sink: Sink) -> Sink:
    """Lets through what the model itself gives out, and nothing of its modules."""

    def take(kind: Kind, path: str, slot: str, call: int, tensor: Tensor, module_type: str) -> None:
        if not path and slot.startswith("out."):
            sink(kind, path, slot, call, tensor, module_type)

    return take


def record_optimizer(
    recorder: Recorder, trainer: Trainer, iteration: int, precision: Precision
) -> None:
    """Record all that the optimizer keeps before `iteration`."""
    for name, slot, value in trainer.state():
        key = TensorKey(Kind.OPTIMIZER_STATE, name, slot, 0, iteration, precision)
        if isinstance(value, float):
            recorder.array(key, np.asarray(value))
        else:
            recorder.tensor(key, value)


def record_rates(
    recorder: Recorder, trainer: Trainer, iteration: int, precision: Precision
) -> None:
    """Record the learning rate of every parameter that the optimizer holds."""
    for name, rate in trainer.learning_rates().items():
        key = TensorKey(Kind.LR, name, RATE, 0, iteration, precision)
        recorder.array(key, np.asarray(rate))


def record_coefficients(
    recorder: Recorder, clipping: Clipping, iteration: int, precision: Precision
) -> None:
    """Record what clipping did to each parameter's gradient."""
    for name, coefficient in clipping.coefficients.items():
        key = TensorKey(Kind.GRADIENT_NORM, name, COEFFICIENT, 0, iteration, precision)
        recorder.array(key, np.asarray(coefficient))
