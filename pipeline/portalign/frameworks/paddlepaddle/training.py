"""One training iteration in paddle: optimizer, LR scheduler and clipping as a `Trainer`.

Twin of `pytorch.training`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import numpy as np
import paddle
from paddle.nn.clip import GradientClipBase

from portalign.equivalents.arguments import resolve
from portalign.equivalents.rows import Area
from portalign.errors import CaptureError, PortalignError
from portalign.frameworks.norms import clipping, global_norm
from portalign.frameworks.pacing import pace
from portalign.frameworks.paddlepaddle import optimizer_state
from portalign.frameworks.paddlepaddle.modules import from_numpy
from portalign.frameworks.paddlepaddle.optimizers import described
from portalign.frameworks.paddlepaddle.optimizers import optimizer as build_optimizer
from portalign.frameworks.paddlepaddle.schedulers import needed_lr
from portalign.frameworks.paddlepaddle.schedulers import scheduler as build_scheduler
from portalign.frameworks.selection import refuse_search
from portalign.frameworks.trainer import Clipping, Exchange, Tensor, Trainer
from portalign.records import Array, Precision
from portalign.request import Spec


def trainer(
    model: paddle.nn.Layer | None,
    optimizer: Spec,
    lr_scheduler: Spec | None,
    *,
    settings: Mapping[str, object],
    precision: Precision,
    round_scalars: bool = False,
) -> Trainer:
    """Build optimizer, scheduler and clipping around a model.

    Args:
        model: the live model in its final precision; None: a tiny Linear stands in (LR curves).
        optimizer: named, or ``fn(model, learning_rate, grad_clip, settings)``.
        lr_scheduler: named, or ``fn(settings)``; None: a constant LR without a scheduler.
        settings: the port's settings, for the porter's functions.
        precision: of the capture.
        round_scalars: ignored, paddle rounds its scalars by itself.

    Raises:
        CaptureError: unknown names or arguments, nothing to train, a porter's function that fails.
    """
    refuse_search(optimizer)
    base_lr = resolve(Area.OPTIMIZER, optimizer)["lr"]
    live = paddle.nn.Linear(2, 2) if model is None else model
    if all(p.stop_gradient for p in live.parameters()):
        raise CaptureError(
            f"{type(live).__name__} has no trainable parameter",
            why="there is nothing for an optimizer to update",
            do="return a model with trainable parameters from `build`",
        )
    scheduled = build_scheduler(base_lr, lr_scheduler, settings=settings)
    learning_rate = needed_lr(base_lr) if scheduled is None else scheduled
    built = build_optimizer(live, optimizer, learning_rate=learning_rate, settings=settings)
    return PaddleTrainer(live, built, pace(scheduled, lr_scheduler))


def rounded_constants(spec: Spec) -> tuple[str, ...]:
    """Nothing: paddle rounds its scalars by itself."""
    return ()


@final
class PaddleTrainer(Trainer):
    """A paddle optimizer with its scheduler; clipping is the optimizer's own."""

    def __init__(
        self,
        model: paddle.nn.Layer,
        optimizer: paddle.optimizer.Optimizer,
        end_iteration: Callable[[], None],
    ) -> None:
        self._model = model
        self._optimizer = optimizer
        self._end_iteration = end_iteration

    def reset(self) -> None:
        for parameter in self._model.parameters():
            parameter.clear_gradient(False)  # False: to None, as torch; True would leave zeros
        self._optimizer.clear_grad(set_to_zero=False)

    def backward(self, loss: paddle.Tensor) -> None:
        loss.backward()

    def gradients(self) -> Iterator[tuple[str, paddle.Tensor | None]]:
        for name, parameter in self._trainable():
            yield name, _dense(parameter)

    def put_gradients(self, values: Mapping[str, Array]) -> None:
        for name, parameter in self._trainable():
            parameter.grad = _like(parameter, values[name]) if name in values else None

    def learning_rate(self) -> float:
        return float(self._optimizer.get_lr())  # the scheduler's get_lr() would step its recurrence

    def learning_rates(self) -> dict[str, float]:
        rate, held = self.learning_rate(), optimizer_state.held(self._optimizer)
        return {
            name: rate * float(parameter.optimize_attr["learning_rate"])
            for name, parameter in self._trainable()
            if id(parameter) in held
        }

    def put_learning_rates(self, values: Mapping[str, float]) -> None:
        base = max((abs(value) for value in values.values()), default=0.0)
        self._optimizer._learning_rate = base  # in the scheduler's place, for set_lr refuses it
        self._optimizer.set_lr(base)
        for name, parameter in self._trainable():
            if name in values and base:
                parameter.optimize_attr["learning_rate"] = values[name] / base

    def described(self) -> tuple[str, dict[str, float]]:
        return described(self._optimizer)

    def state(self) -> Iterator[tuple[str, str, Tensor | float]]:
        return optimizer_state.read(self._optimizer, dict(self._model.named_parameters()))

    def put_state(self, values: Mapping[str, Mapping[str, Array]]) -> None:
        optimizer_state.write(self._optimizer, dict(self._model.named_parameters()), values)

    def update(self, exchange: Exchange | None = None) -> Clipping:
        before = {
            name: global_norm([_numpy(grad)])
            for name, parameter in self._trainable()
            if (grad := _dense(parameter)) is not None
        }
        watched = _Watched({id(p): name for name, p in self._trainable()}, dict(before), exchange)
        with _observed(self._optimizer, watched):
            self._optimizer.step()
        return clipping(before, watched.norms)

    def schedule(self) -> None:
        self._end_iteration()

    def _trainable(self) -> Iterator[tuple[str, Any]]:
        for name, parameter in self._model.named_parameters():
            if not parameter.stop_gradient:
                yield name, parameter


@dataclass(frozen=True, slots=True)
class _Watched:
    """What is watched while the optimizer steps.

    Attributes:
        names: of parameters, by their id.
        norms: of their gradients, by name; clipped ones take the place of those given.
        exchange: as in `Trainer.update`.
    """

    names: dict[int, str]
    norms: dict[str, float]
    exchange: Exchange | None


@contextmanager
def _observed(optimizer: paddle.optimizer.Optimizer, watched: _Watched) -> Iterator[None]:
    """While open, what clip objects return to the optimizer goes through `watched`; the gradients
    themselves do where there is none and something is exchanged, or the step is the porter's own.
    """
    undo: list[Callable[[], None]] = []
    has_own_step = not type(optimizer).__module__.startswith("paddle.")

    def observer(clip: Any) -> Any:
        is_needed = clip is not None or watched.exchange is not None or has_own_step
        return _Observer(clip, watched) if is_needed else None

    clip = getattr(optimizer, "_grad_clip", None)
    optimizer._grad_clip = observer(clip)
    undo.append(partial(setattr, optimizer, "_grad_clip", clip))
    for group in getattr(optimizer, "_param_groups", None) or []:
        if isinstance(group, dict):
            clip = group.get("grad_clip")
            group["grad_clip"] = observer(clip)
            undo.append(partial(group.__setitem__, "grad_clip", clip))
    try:
        yield
    finally:
        for put_back in undo:
            put_back()


@final
class _Observer(GradientClipBase):
    """Stands in for a clip object for one step: lets it do its work, measures what came out, and
    has it exchanged.
    """

    def __init__(self, clip: Any, watched: _Watched) -> None:
        super().__init__()
        self._own = clip
        self._watched = watched

    def __call__(self, params_grads: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        is_needed = self._own is not None and params_grads  # a porter's may fail on an empty list
        clipped = _clip(self._own, params_grads) if is_needed else params_grads
        return [(parameter, self._seen(parameter, gradient)) for parameter, gradient in clipped]

    def _seen(self, parameter: Any, gradient: Any) -> Any:
        name = self._watched.names.get(id(parameter))
        if gradient is None or name not in self._watched.norms:
            return gradient
        dense = _as_dense(gradient, parameter)
        self._watched.norms[name] = global_norm([_numpy(dense)])
        other = self._watched.exchange(name, dense) if self._watched.exchange else None
        return gradient if other is None else other


def _clip(clip: Any, pairs: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    try:
        return list(clip(pairs))
    except PortalignError:
        raise
    except Exception as err:
        raise CaptureError(
            f"gradient clip {type(clip).__name__} raised {type(err).__name__}: {err}",
            why="the optimizer can't step without its clipped gradients",
            do="make it work on a list of (parameter, gradient), as paddle's own clips do",
        ) from err


def _dense(parameter: Any) -> paddle.Tensor | None:
    """The gradient; a row-sparse one (``Embedding(sparse=True)``) with its zero rows."""
    gradient = parameter.grad
    return None if gradient is None else _as_dense(gradient, parameter)


def _as_dense(gradient: paddle.Tensor, parameter: Any) -> paddle.Tensor:
    if not gradient.is_selected_rows():
        return gradient
    rows = paddle.to_tensor(gradient.rows(), dtype="int64")
    values = gradient._get_tensor_from_selected_rows()
    return paddle.index_add(paddle.zeros(parameter.shape, parameter.dtype), rows, 0, values)


def _like(parameter: Any, array: Array) -> paddle.Tensor:
    values = from_numpy(np.asarray(array).reshape(parameter.shape))
    return values.astype(parameter.dtype)


def _numpy(gradient: paddle.Tensor) -> Array:
    is_wide = gradient.dtype in (paddle.float32, paddle.float64)
    array: Array = (gradient if is_wide else gradient.astype("float32")).numpy()
    return array
