"""Optimizers in paddle, by portalign's names, as a Paddle user builds them.

Twin of `pytorch.optimizers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import paddle

from portalign.equivalents.arguments import resolve
from portalign.equivalents.rows import Area
from portalign.errors import CaptureError
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
    0) for coupled L2. Parameter groups would do neither: paddle clips each group by its own norm.

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
    common = {
        "learning_rate": learning_rate,
        "parameters": model.parameters(),
        "grad_clip": clip,
    }
    return _OPTIMIZERS[spec.name](model, arguments, common)


def _grad_clip(arguments: Mapping[str, Json]) -> Any:
    if arguments["clip_norm"] is not None:
        return paddle.nn.ClipGradByGlobalNorm(clip_norm=float(arguments["clip_norm"]))
    if arguments["clip_value"] is not None:
        return paddle.nn.ClipGradByValue(max=float(arguments["clip_value"]))
    return None


def _spared(model: paddle.nn.Layer, arguments: Mapping[str, Json]) -> dict[str, Any]:
    """Parameters without weight decay, by paddle's own unique names."""
    parts = [part.lower() for part in arguments["no_decay"]]
    return {
        parameter.name: parameter
        for name, parameter in model.named_parameters()
        if any(part in name.lower() for part in parts)
    }


def _coupled_decay(model: paddle.nn.Layer, arguments: Mapping[str, Json]) -> float | None:
    for parameter in _spared(model, arguments).values():
        parameter.regularizer = paddle.regularizer.L2Decay(0.0)
    return float(arguments["weight_decay"]) or None


def _sgd(
    model: paddle.nn.Layer, arguments: Mapping[str, Json], common: Mapping[str, Any]
) -> paddle.optimizer.Optimizer:
    if arguments["momentum"]:
        return _momentum(model, arguments, common)
    return paddle.optimizer.SGD(**common, weight_decay=_coupled_decay(model, arguments))


def _momentum(
    model: paddle.nn.Layer, arguments: Mapping[str, Json], common: Mapping[str, Any]
) -> paddle.optimizer.Optimizer:
    return paddle.optimizer.Momentum(
        **common,
        momentum=float(arguments["momentum"]),
        use_nesterov=arguments["nesterov"],
        weight_decay=_coupled_decay(model, arguments),
    )


def _adam(
    model: paddle.nn.Layer, arguments: Mapping[str, Json], common: Mapping[str, Any]
) -> paddle.optimizer.Optimizer:
    return paddle.optimizer.Adam(
        **common, **_moments(arguments), weight_decay=_coupled_decay(model, arguments)
    )


def _adamw(
    model: paddle.nn.Layer, arguments: Mapping[str, Json], common: Mapping[str, Any]
) -> paddle.optimizer.Optimizer:
    spared = frozenset(_spared(model, arguments))
    return paddle.optimizer.AdamW(
        **common,
        **_moments(arguments),
        weight_decay=float(arguments["weight_decay"]),
        apply_decay_param_fun=lambda name: name not in spared,
    )


def _moments(arguments: Mapping[str, Json]) -> dict[str, float]:
    return {
        "beta1": float(arguments["beta1"]),
        "beta2": float(arguments["beta2"]),
        "epsilon": float(arguments["eps"]),
    }


_OPTIMIZERS: Final = {"sgd": _sgd, "momentum": _momentum, "adam": _adam, "adamw": _adamw}
