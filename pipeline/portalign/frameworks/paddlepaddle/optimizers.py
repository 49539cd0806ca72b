"""Optimizers in paddle, by portalign's names, as a Paddle user builds them.

Twin of `pytorch.optimizers`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import paddle

from portalign.equivalents.arguments import resolve
from portalign.equivalents.rows import Area
from portalign.errors import CaptureError
from portalign.frameworks.selection import is_spared, lr_factor
from portalign.functions import call_function
from portalign.request import Json, Spec

LearningRate = Any  # float or paddle.optimizer.lr.LRScheduler


def optimizer(
    model: paddle.nn.Layer,
    spec: Spec,
    *,
    learning_rate: LearningRate,
    settings: Mapping[str, object],
) -> paddle.optimizer.Optimizer:
    """Build the optimizer over the model's parameters.

    Parameters whose full name contains one of ``no_decay`` (upper and lower case alike) are spared
    weight decay: by ``apply_decay_param_fun`` for AdamW, by a regularizer of their own (coefficient
    0) for coupled L2. A factor of ``lr_scale`` becomes the parameter's own, as by ``ParamAttr``.
    Parameter groups would do neither: paddle clips each group by its own norm.

    Args:
        model: the live model, already in its final precision.
        spec: a name of `arguments.TABLES`, or a porter's ``fn(model, learning_rate, grad_clip,
        settings)``.
        learning_rate: number or scheduler.
        settings: the port's settings, for a porter's function.

    Raises:
        CaptureError: unknown name or argument, or the porter's function failed or returned
            something else.
    """
    arguments = resolve(Area.OPTIMIZER, spec)
    clip = _grad_clip(arguments)
    if spec.function:
        made = call_function(spec.function, model, learning_rate, clip, dict(settings))
        if not isinstance(made, paddle.optimizer.Optimizer):
            raise CaptureError(
                f"{spec.function} returned {type(made).__name__}, not a paddle.optimizer.Optimizer",
                why="portalign calls its step",
                do="return the optimizer from that function",
            )
        return made
    for name, parameter in model.named_parameters():
        if (factor := lr_factor(name, arguments)) != 1.0:
            parameter.optimize_attr = {**parameter.optimize_attr, "learning_rate": factor}
    kind, translated = _OPTIMIZERS[spec.name]
    given = translated(model, arguments)
    if kind is paddle.optimizer.SGD and arguments["momentum"]:
        kind, given = _OPTIMIZERS["momentum"][0], _momentum(model, arguments)
    if kind is paddle.optimizer.Rprop and not isinstance(learning_rate, float):
        raise CaptureError(
            "paddle's Rprop takes a number as learning rate, not a scheduler",
            why="it is the first step size only; from then on gradients' signs change it",
            do="leave `lr_scheduler:` out of the port file",
        )
    return kind(learning_rate=learning_rate, parameters=model.parameters(), grad_clip=clip, **given)


def described(optimizer: paddle.optimizer.Optimizer) -> tuple[str, dict[str, float]]:
    """Name and arguments, in portalign's words, of an optimizer that differs between frameworks.

    Empty for the others, for subclasses, and where parameter groups or another decay than L2 make
    it more than these arguments.
    """
    name, arguments = _KNOWN_TO_DIFFER.get(type(optimizer), ("", {}))
    regularizer = optimizer.regularization
    is_plain = regularizer is None or type(regularizer) is paddle.regularizer.L2Decay
    has_groups = any(isinstance(group, dict) for group in optimizer._param_groups or [])
    if not name or has_groups or not is_plain:
        return "", {}
    found = {argument: float(getattr(optimizer, own)) for argument, own in arguments.items()}
    return name, {**found, "weight_decay": regularizer._coeff if regularizer else 0.0}


def _grad_clip(arguments: Mapping[str, Json]) -> Any:
    if arguments["clip_norm"] is not None:
        return paddle.nn.ClipGradByGlobalNorm(clip_norm=float(arguments["clip_norm"]))
    if arguments["clip_each_norm"] is not None:
        return _ClipEachByNorm(clip_norm=float(arguments["clip_each_norm"]))
    if arguments["clip_value"] is not None:
        return paddle.nn.ClipGradByValue(max=float(arguments["clip_value"]))
    return None


class _ClipEachByNorm(paddle.nn.ClipGradByNorm):
    """Paddle's own; its kernel has no float64 on CPU (3.3.1), so a twin multiplies by itself."""

    def _dygraph_clip(self, params_grads: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        clipped = []
        for parameter, gradient in params_grads:
            if gradient is None or gradient.dtype != paddle.float64:
                clipped += super()._dygraph_clip([(parameter, gradient)])
            elif not getattr(parameter, "need_clip", True):
                clipped.append((parameter, gradient))
            else:
                norm = gradient.square().sum().sqrt()
                factor = self.clip_norm / norm.clip(min=self.clip_norm)
                clipped.append((parameter, gradient * factor))
        return clipped


def _coupled_decay(model: paddle.nn.Layer, arguments: Mapping[str, Json]) -> dict[str, Any]:
    for parameter in _spared(model, arguments):
        parameter.regularizer = paddle.regularizer.L2Decay(0.0)
    return {"weight_decay": float(arguments["weight_decay"]) or None}


def _spared(model: paddle.nn.Layer, arguments: Mapping[str, Json]) -> list[Any]:
    return [p for name, p in model.named_parameters() if is_spared(name, arguments)]


def _momentum(model: paddle.nn.Layer, arguments: Mapping[str, Json]) -> dict[str, Any]:
    return {
        "momentum": float(arguments["momentum"]),
        "use_nesterov": arguments["nesterov"],
        **_coupled_decay(model, arguments),
    }


def _adam(model: paddle.nn.Layer, arguments: Mapping[str, Json]) -> dict[str, Any]:
    return {**_moments(model, arguments), "amsgrad": arguments["amsgrad"]}


def _adamw(model: paddle.nn.Layer, arguments: Mapping[str, Json]) -> dict[str, Any]:
    spared = frozenset(parameter.name for parameter in _spared(model, arguments))
    return {
        **_betas(arguments),
        "amsgrad": arguments["amsgrad"],
        "weight_decay": float(arguments["weight_decay"]),
        "apply_decay_param_fun": lambda name: name not in spared,
    }


def _moments(model: paddle.nn.Layer, arguments: Mapping[str, Json]) -> dict[str, Any]:
    return {**_betas(arguments), **_coupled_decay(model, arguments)}


def _betas(arguments: Mapping[str, Json]) -> dict[str, float]:
    return {
        "beta1": float(arguments["beta1"]),
        "beta2": float(arguments["beta2"]),
        "epsilon": float(arguments["eps"]),
    }


def _nadam(model: paddle.nn.Layer, arguments: Mapping[str, Json]) -> dict[str, Any]:
    return {**_moments(model, arguments), "momentum_decay": float(arguments["momentum_decay"])}


def _adagrad(model: paddle.nn.Layer, arguments: Mapping[str, Json]) -> dict[str, Any]:
    return {
        "epsilon": float(arguments["eps"]),
        "initial_accumulator_value": float(arguments["initial_accumulator"]),
        **_coupled_decay(model, arguments),
    }


def _adadelta(model: paddle.nn.Layer, arguments: Mapping[str, Json]) -> dict[str, Any]:
    return {
        "rho": float(arguments["rho"]),
        "epsilon": float(arguments["eps"]),
        **_coupled_decay(model, arguments),
    }


def _rmsprop(model: paddle.nn.Layer, arguments: Mapping[str, Json]) -> dict[str, Any]:
    return {
        "rho": float(arguments["alpha"]),
        "epsilon": float(arguments["eps"]),
        "momentum": float(arguments["momentum"]),
        "centered": arguments["centered"],
        **_coupled_decay(model, arguments),
    }


def _rprop(model: paddle.nn.Layer, arguments: Mapping[str, Json]) -> dict[str, Any]:
    return {
        "etas": (float(arguments["eta_minus"]), float(arguments["eta_plus"])),
        "learning_rate_range": (float(arguments["step_min"]), float(arguments["step_max"])),
    }


def _lbfgs(model: paddle.nn.Layer, arguments: Mapping[str, Json]) -> dict[str, Any]:
    return {
        "max_iter": arguments["max_iter"],
        "history_size": arguments["history_size"],
        "line_search_fn": None if arguments["line_search"] == "none" else arguments["line_search"],
    }


_OPTIMIZERS: Final[
    Mapping[str, tuple[Any, Callable[[paddle.nn.Layer, Mapping[str, Json]], dict[str, Any]]]]
] = {
    "sgd": (paddle.optimizer.SGD, _coupled_decay),
    "momentum": (paddle.optimizer.Momentum, _momentum),
    "adam": (paddle.optimizer.Adam, _adam),
    "adamw": (paddle.optimizer.AdamW, _adamw),
    "adamax": (paddle.optimizer.Adamax, _moments),
    "nadam": (paddle.optimizer.NAdam, _nadam),
    "radam": (paddle.optimizer.RAdam, _moments),
    "adagrad": (paddle.optimizer.Adagrad, _adagrad),
    "adadelta": (paddle.optimizer.Adadelta, _adadelta),
    "rmsprop": (paddle.optimizer.RMSProp, _rmsprop),
    "asgd": (paddle.optimizer.ASGD, _coupled_decay),
    "rprop": (paddle.optimizer.Rprop, _rprop),
    "lbfgs": (paddle.optimizer.LBFGS, _lbfgs),
}
_KNOWN_TO_DIFFER: Final[Mapping[Any, tuple[str, Mapping[str, str]]]] = {
    paddle.optimizer.RMSProp: (
        "rmsprop",
        {"alpha": "_rho", "eps": "_epsilon", "momentum": "_momentum", "centered": "_centered"},
    ),
    paddle.optimizer.Adamax: (
        "adamax",
        {"beta1": "_beta1", "beta2": "_beta2", "eps": "_epsilon"},
    ),
    paddle.optimizer.ASGD: ("asgd", {"batch_num": "_n"}),
}
