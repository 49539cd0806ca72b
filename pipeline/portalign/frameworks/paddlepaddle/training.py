"""One training iteration in paddle: optimizer, LR scheduler and clipping as a `Trainer`.

Twin of `pytorch.training`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, final

import paddle
from paddle.nn.clip import GradientClipBase

from portalign.equivalents.arguments import resolve
from portalign.equivalents.rows import Area
from portalign.errors import CaptureError, PortalignError
from portalign.frameworks.base import Clipping, Trainer
from portalign.frameworks.norms import clipping, global_norm
from portalign.frameworks.pacing import pace
from portalign.frameworks.paddlepaddle.optimizers import optimizer as build_optimizer
from portalign.frameworks.paddlepaddle.schedulers import needed_lr
from portalign.frameworks.paddlepaddle.schedulers import scheduler as build_scheduler
from portalign.frameworks.selection import refuse_search
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
        for name, parameter in self._model.named_parameters():
            if not parameter.stop_gradient:
                yield name, _dense(parameter)

    def learning_rate(self) -> float:
        return float(self._optimizer.get_lr())  # the scheduler's get_lr() would step its recurrence

    def update(self) -> Clipping:
        squares = {
            id(p): global_norm([_numpy(grad)]) ** 2
            for p in self._model.parameters()
            if not p.stop_gradient and (grad := _dense(p)) is not None
        }
        before = math.sqrt(sum(squares.values()))
        with _observed(self._optimizer, squares):
            self._optimizer.step()
        return clipping(before, math.sqrt(sum(squares.values())))

    def schedule(self) -> None:
        self._end_iteration()


@contextmanager
def _observed(optimizer: paddle.optimizer.Optimizer, squares: dict[int, float]) -> Iterator[None]:
    """While open, what a clip object returns to the optimizer updates the squares of the norms.

    Args:
        squares: squared gradient norm by parameter id.
    """
    undo: list[Callable[[], None]] = []
    if (clip := getattr(optimizer, "_grad_clip", None)) is not None:
        optimizer._grad_clip = _Observer(clip, squares)
        undo.append(partial(setattr, optimizer, "_grad_clip", clip))
    for group in getattr(optimizer, "_param_groups", None) or []:
        if isinstance(group, dict) and (clip := group.get("grad_clip")) is not None:
            group["grad_clip"] = _Observer(clip, squares)
            undo.append(partial(group.__setitem__, "grad_clip", clip))
    try:
        yield
    finally:
        for put_back in undo:
            put_back()


@final
class _Observer(GradientClipBase):
    """Stands in for a clip object for one step: lets it do its work and measures what came out."""

    def __init__(self, clip: Any, squares: dict[int, float]) -> None:
        super().__init__()
        self._own = clip
        self._squares = squares

    def __call__(self, params_grads: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        clipped = _clip(self._own, params_grads)
        for parameter, gradient in clipped:
            if gradient is not None and id(parameter) in self._squares:
                dense = _numpy(_as_dense(gradient, parameter))
                self._squares[id(parameter)] = global_norm([dense]) ** 2
        return clipped


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


def _numpy(gradient: paddle.Tensor) -> Array:
    is_wide = gradient.dtype in (paddle.float32, paddle.float64)
    array: Array = (gradient if is_wide else gradient.astype("float32")).numpy()
    return array
