"""One training iteration in paddle: optimizer, LR scheduler and clipping as a `Trainer`.

Twin of `pytorch.training`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, final

import paddle

from portalign.errors import CaptureError, PortalignError
from portalign.frameworks.arguments import Group, resolve
from portalign.frameworks.base import Clipping, Trainer
from portalign.frameworks.norms import clipping, global_norm
from portalign.frameworks.paddlepaddle.optimizers import optimizer as build_optimizer
from portalign.frameworks.paddlepaddle.schedulers import needed_lr
from portalign.frameworks.paddlepaddle.schedulers import scheduler as build_scheduler
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
    base_lr = resolve(Group.OPTIMIZER, optimizer)["lr"]
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
    return PaddleTrainer(live, built, scheduled)


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
        scheduler: paddle.optimizer.lr.LRScheduler | None,
    ) -> None:
        self._model = model
        self._optimizer = optimizer
        self._scheduler = scheduler

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

    def clip(self) -> Clipping:
        gradients = {
            id(p): grad
            for p in self._model.parameters()
            if not p.stop_gradient and (grad := _dense(p)) is not None
        }
        before = global_norm(map(_numpy, gradients.values()))
        clips = [
            (params, clip)
            for params, clip in _clips(self._model, self._optimizer)
            if clip is not None
        ]
        if not clips:
            return clipping(before, before)
        clipped = dict(gradients)
        for parameters, clip in clips:
            # Copies: paddle's clipping multiplies in place where it can.
            pairs = [(p, gradients[id(p)].clone()) for p in parameters if id(p) in gradients]
            clipped.update({id(p): grad for p, grad in _clip(clip, pairs)})
        return clipping(before, global_norm(map(_numpy, clipped.values())))

    def learning_rate(self) -> float:
        return float(self._optimizer.get_lr())  # the scheduler's get_lr() would step its recurrence

    def update(self) -> None:
        self._optimizer.step()

    def schedule(self) -> None:
        if self._scheduler is not None:
            self._scheduler.step()


def _clips(
    model: paddle.nn.Layer, optimizer: paddle.optimizer.Optimizer
) -> list[tuple[list[Any], Any]]:
    """Parameters and the clip object `step` will put on them; each group is clipped by itself."""
    groups = getattr(optimizer, "_param_groups", None) or model.parameters()
    if isinstance(groups[0], dict):
        return [(list(group["params"]), group.get("grad_clip")) for group in groups]
    return [(list(groups), getattr(optimizer, "_grad_clip", None))]


def _clip(clip: Any, pairs: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    try:
        with paddle.no_grad():
            return list(clip(pairs))
    except PortalignError:
        raise
    except Exception as err:
        raise CaptureError(
            f"gradient clip {type(clip).__name__} raised {type(err).__name__}: {err}",
            why="portalign asks it what it does to the gradients before the optimizer steps",
            do="make it work on a list of (parameter, gradient), as paddle's own clips do",
        ) from err


def _dense(parameter: Any) -> paddle.Tensor | None:
    """The gradient; a row-sparse one (``Embedding(sparse=True)``) with its zero rows."""
    gradient = parameter.grad
    if gradient is None or not gradient.is_selected_rows():
        return gradient
    rows = paddle.to_tensor(gradient.rows(), dtype="int64")
    values = gradient._get_tensor_from_selected_rows()
    return paddle.index_add(paddle.zeros(parameter.shape, parameter.dtype), rows, 0, values)


def _numpy(gradient: paddle.Tensor) -> Array:
    is_wide = gradient.dtype in (paddle.float32, paddle.float64)
    array: Array = (gradient if is_wide else gradient.astype("float32")).numpy()
    return array
