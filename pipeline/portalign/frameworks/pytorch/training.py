"""One training iteration in torch: optimizer, LR scheduler and clipping as a `Trainer`.

Twin of `paddlepaddle.training`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch

from portalign.equivalents.arguments import TABLES, resolve
from portalign.equivalents.rows import Area
from portalign.errors import CaptureError
from portalign.frameworks.norms import clipping, global_norm
from portalign.frameworks.pacing import pace
from portalign.frameworks.pytorch import losses, optimizer_state, optimizers
from portalign.frameworks.pytorch.modules import from_numpy
from portalign.frameworks.pytorch.optimizers import described, round_like_paddle
from portalign.frameworks.pytorch.optimizers import optimizer as build_optimizer
from portalign.frameworks.pytorch.schedulers import scheduler as build_scheduler
from portalign.frameworks.pytorch.stepping import has_own_step, seen_by_step
from portalign.frameworks.selection import refuse_search
from portalign.frameworks.trainer import Clipping, Exchange, Tensor, Trainer
from portalign.records import Array, Precision
from portalign.request import Spec


@dataclass(frozen=True, slots=True)
class GradientClip:
    """How gradients are clipped between backward and step.

    Attributes:
        norm: limit of the norm of all gradients together.
        each_norm: limit of the norm of each gradient by itself.
        value: limit of every element; at most one of the three is set.
        has_epsilon: torch's norm clipping, which divides by norm + 1e-6; False: by the norm, as
            paddle.
    """

    norm: float | None
    each_norm: float | None
    value: float | None
    has_epsilon: bool = True


def trainer(
    model: torch.nn.Module | None,
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
        optimizer: named, or ``fn(model, settings)``.
        lr_scheduler: named, or ``fn(optimizer, settings)``; None: a constant LR without a
        scheduler.
        settings: the port's settings, for the porter's functions.
        precision: of the capture.
        round_scalars: in float64, feed torch the scalars that paddle keeps in float32.

    Raises:
        CaptureError: unknown names or arguments, nothing to train, a porter's function that fails.
    """
    refuse_search(optimizer)
    arguments = resolve(Area.OPTIMIZER, optimizer)
    is_curve = model is None
    live = torch.nn.Linear(2, 2) if model is None else model
    if not any(p.requires_grad for p in live.parameters()):
        raise CaptureError(
            f"{type(live).__name__} has no trainable parameter",
            why="there is nothing for an optimizer to update",
            do="return a model with requires_grad parameters from `build`",
        )
    built = build_optimizer(live, optimizer, settings=settings)
    rounds = round_scalars and precision is Precision.FLOAT64
    if rounds:
        round_like_paddle(built)
    scheduled = build_scheduler(built, lr_scheduler, settings=settings)
    if is_curve:
        built.step()  # changes nothing; torch warns of schedulers that step before it
    norm, each_norm, value = (arguments[f"clip_{name}"] for name in ("norm", "each_norm", "value"))
    clip = GradientClip(norm, each_norm, value, has_epsilon=not rounds)
    return TorchTrainer(live, built, pace(scheduled, lr_scheduler), clip)


def rounded_constants(spec: Spec) -> tuple[str, ...]:
    """What `round_scalars` changes for a loss or optimizer spec, in words; for the notes of a twin.

    A porter's function is taken for an optimizer: its loss is its own and is never touched.
    """
    if spec.name in TABLES[Area.LOSS]:
        return losses.rounded_constants(spec)
    return optimizers.rounded_constants(spec)


@final
class TorchTrainer(Trainer):
    """A torch optimizer with its scheduler and clipping."""

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        end_iteration: Callable[[], None],
        clip: GradientClip,
    ) -> None:
        self._model = model
        self._optimizer = optimizer
        self._end_iteration = end_iteration
        self._clip = clip

    def reset(self) -> None:
        self._model.zero_grad(set_to_none=True)
        self._optimizer.zero_grad(set_to_none=True)

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()

    def gradients(self) -> Iterator[tuple[str, torch.Tensor | None]]:
        for name, parameter in self._trainable():
            yield name, parameter.grad

    def put_gradients(self, values: Mapping[str, Array]) -> None:
        for name, parameter in self._trainable():
            parameter.grad = _like(parameter, values[name]) if name in values else None

    def learning_rate(self) -> float:
        return float(self._optimizer.param_groups[0]["lr"])

    def learning_rates(self) -> dict[str, float]:
        rates = {
            id(parameter): float(group["lr"])
            for group in self._optimizer.param_groups
            for parameter in group["params"]
        }
        return {name: rates[id(p)] for name, p in self._trainable() if id(p) in rates}

    def put_learning_rates(self, values: Mapping[str, float]) -> None:
        wanted = {id(p): values[name] for name, p in self._trainable() if name in values}
        groups = []
        for group in self._optimizer.param_groups:
            by_rate: dict[float, list[torch.nn.Parameter]] = {}
            for parameter in group["params"]:
                rate = wanted.get(id(parameter), float(group["lr"]))
                by_rate.setdefault(rate, []).append(parameter)
            groups += [{**group, "params": each, "lr": rate} for rate, each in by_rate.items()]
        self._optimizer.param_groups[:] = groups

    def described(self) -> tuple[str, dict[str, float]]:
        return described(self._optimizer)

    def state(self) -> Iterator[tuple[str, str, Tensor | float]]:
        return optimizer_state.read(self._optimizer, dict(self._model.named_parameters()))

    def put_state(self, values: Mapping[str, Mapping[str, Array]]) -> None:
        optimizer_state.write(self._optimizer, dict(self._model.named_parameters()), values)

    def update(self, exchange: Exchange | None = None) -> Clipping:
        before = self._norms()
        has_own = has_own_step(self._optimizer)
        is_clipped = self._clip_gradients() or has_own
        used: dict[str, float] = {}

        def see() -> None:
            used.update(self._norms() if is_clipped else before)
            for name, parameter in self._trainable() if exchange else ():
                if parameter.grad is not None and exchange is not None:
                    other = exchange(name, parameter.grad)
                    parameter.grad = parameter.grad if other is None else other

        with seen_by_step(self._optimizer, see) as is_seen:
            if not is_seen:
                see()
            given = self._norms() if has_own and not is_seen else {}
            self._optimizer.step()
        is_within = bool(before) and (not used or (bool(given) and self._norms() != given))
        return replace(clipping(before, used or before), is_within=is_within)

    def schedule(self) -> None:
        self._end_iteration()

    def _clip_gradients(self) -> bool:
        """Clip as the port says; whether it says anything."""
        clip = self._clip
        with_gradient = [p for p in self._model.parameters() if p.grad is not None]
        by_norm = torch.nn.utils.clip_grad_norm_ if clip.has_epsilon else _clip_without_epsilon
        if not with_gradient:  # torch 2.13's clip_grad_value_ raises on an empty list
            return False
        if clip.value is not None:
            torch.nn.utils.clip_grad_value_(with_gradient, clip.value)
        elif clip.norm is not None:
            by_norm(with_gradient, clip.norm)
        elif clip.each_norm is not None:
            for parameter in with_gradient:
                by_norm([parameter], clip.each_norm)
        return (clip.value, clip.norm, clip.each_norm) != (None, None, None)

    def _norms(self) -> dict[str, float]:
        return {
            name: global_norm([_numpy(grad)]) for name, grad in self.gradients() if grad is not None
        }

    def _trainable(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        for name, parameter in self._model.named_parameters():
            if parameter.requires_grad:
                yield name, parameter


def _clip_without_epsilon(parameters: list[torch.nn.Parameter], limit: float) -> None:
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    coefficient = limit / torch.clamp(norm, min=limit)
    for gradient in gradients:
        gradient.mul_(coefficient)


def _like(parameter: torch.nn.Parameter, array: Array) -> torch.Tensor:
    values = from_numpy(np.array(array)).to(dtype=parameter.dtype, device=parameter.device)
    return values.reshape(parameter.shape)


def _numpy(gradient: torch.Tensor) -> Array:
    dense = gradient.detach().to_dense() if gradient.is_sparse else gradient.detach()
    wide = dense if dense.dtype in (torch.float32, torch.float64) else dense.float()
    array: Array = wide.cpu().numpy()
    return array
