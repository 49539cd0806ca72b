"""Optimizers in torch, by portalign's names, as a PyTorch user builds them.

Twin of `paddlepaddle.optimizers`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import torch

from portalign.equivalents.arguments import resolve
from portalign.equivalents.rows import Area
from portalign.errors import CaptureError
from portalign.frameworks.selection import is_spared, lr_factor
from portalign.functions import call_function
from portalign.request import Json, Spec


def optimizer(
    model: torch.nn.Module, spec: Spec, *, settings: Mapping[str, object]
) -> torch.optim.Optimizer:
    """Build the optimizer over the model's trainable parameters.

    Parameters whose full name contains one of ``no_decay`` get no weight decay, those that contain
    a part named by ``lr_scale`` its factor of the learning rate (the first that fits; upper and
    lower case alike). Each combination is a group of its own; the first group is the ordinary one.

    Args:
        model: the live model, already in its final precision.
        spec: a name of `arguments.TABLES`, or a porter's ``fn(model, settings)``.
        settings: the port's settings, for a porter's function.

    Raises:
        CaptureError: unknown name or argument, nothing to train, or the porter's function failed or
            returned something else.
    """
    arguments = resolve(Area.OPTIMIZER, spec)
    if spec.function:
        made = call_function(spec.function, model, dict(settings))
        if not isinstance(made, torch.optim.Optimizer):
            raise CaptureError(
                f"{spec.function} returned {type(made).__name__}, not a torch.optim.Optimizer",
                why="portalign calls its step",
                do="return the optimizer from that function",
            )
        return made
    return _build(spec.name, _groups(model, arguments), arguments)


def round_like_paddle(optimizer: torch.optim.Optimizer) -> None:
    """Round, in place, the coefficients that paddle's kernels keep in float32.

    Measured over 10 float64 iterations with paddle 3.3.1: Momentum's coefficient leaves 7e-9 in the
    weights, its weight decay as much again, AdamW's weight decay 5e-10 (3e-9 at 0.1); over 45
    iterations the betas of NAdam 3e-9 and of RAdam 5e-8. Adam's and SGD's scalars are doubles
    there, and rounding them would make the difference.
    """
    for group in optimizer.param_groups:
        for name in _float32_names(optimizer, group):
            group[name] = _as_float32(group[name])


def described(optimizer: torch.optim.Optimizer) -> tuple[str, dict[str, float]]:
    """Name and arguments, in portalign's words, of an optimizer that differs between frameworks.

    Empty for the others, for subclasses, and where groups differ in more than learning rate and
    decay.
    """
    name, arguments = _KNOWN_TO_DIFFER.get(type(optimizer), ("", ()))
    groups = [{each: group[each] for each in arguments} for group in optimizer.param_groups]
    if not name or any(group != groups[0] for group in groups[1:]):
        return "", {}
    betas = zip(("beta1", "beta2"), groups[0].pop("betas", ()), strict=False)
    decay = max(group["weight_decay"] for group in optimizer.param_groups)
    found = {**groups[0], **dict(betas), "weight_decay": decay}
    return name, {argument: float(value) for argument, value in found.items()}


def rounded_constants(spec: Spec) -> tuple[str, ...]:
    """What `round_like_paddle` and the twin's clipping change for this optimizer, in words."""
    arguments = resolve(Area.OPTIMIZER, spec)
    if spec.function:
        rounded = ["what paddle keeps of the optimizer in float32 (momentum, betas), as float32"]
    else:
        parameter = torch.nn.Parameter(torch.zeros(1))
        built = _build(spec.name, [{"params": [parameter]}], arguments)
        rounded = [
            f"optimizer {name} {built.param_groups[0][name]} as float32"
            for name in _float32_names(built, built.param_groups[0])
        ]
    if arguments["clip_norm"] is not None:
        rounded.append("clip_norm without the 1e-6 that torch adds to the norm and paddle doesn't")
    if arguments["clip_each_norm"] is not None:
        rounded.append("clip_each_norm without the 1e-6 that torch adds to each norm")
    return tuple(rounded)


def _float32_names(optimizer: torch.optim.Optimizer, group: Mapping[str, Any]) -> tuple[str, ...]:
    if type(optimizer) is torch.optim.SGD and not group["momentum"]:
        return ()
    names = _FLOAT32.get(type(optimizer), ())
    return tuple(name for name in names if group[name] != _as_float32(group[name]))


def _as_float32(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_as_float32, value))
    return float(np.float32(value))


def _groups(model: torch.nn.Module, arguments: Mapping[str, Json]) -> list[dict[str, Any]]:
    """Parameters by factor of the learning rate and by decay, the ordinary ones first: if need be
    an empty group, for its rate is the optimizer's own.
    """
    found: dict[tuple[float, bool], list[torch.nn.Parameter]] = {(1.0, True): []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = lr_factor(name, arguments), not is_spared(name, arguments)
            found.setdefault(key, []).append(parameter)
    groups = []
    for (factor, is_decayed), parameters in found.items():
        group: dict[str, Any] = {"params": parameters}
        if factor != 1.0:
            group["lr"] = float(arguments["lr"]) * factor
        if not is_decayed:
            group["weight_decay"] = 0.0
        groups.append(group)
    return groups


def _build(
    name: str, groups: list[dict[str, Any]], arguments: Mapping[str, Json]
) -> torch.optim.Optimizer:
    kind, translated = _OPTIMIZERS[name]
    given = {"lr": float(arguments["lr"]), **translated(arguments)}
    if "weight_decay" in arguments:
        given["weight_decay"] = float(arguments["weight_decay"])
    return kind(groups, **given)


def _sgd(arguments: Mapping[str, Json]) -> dict[str, Any]:
    return {"momentum": float(arguments["momentum"]), "nesterov": arguments["nesterov"]}


def _moments(arguments: Mapping[str, Json]) -> dict[str, Any]:
    betas = float(arguments["beta1"]), float(arguments["beta2"])
    return {"betas": betas, "eps": float(arguments["eps"])}


def _adam(arguments: Mapping[str, Json]) -> dict[str, Any]:
    return {**_moments(arguments), "amsgrad": arguments["amsgrad"]}


def _nadam(arguments: Mapping[str, Json]) -> dict[str, Any]:
    return {**_moments(arguments), "momentum_decay": float(arguments["momentum_decay"])}


def _adagrad(arguments: Mapping[str, Json]) -> dict[str, Any]:
    start = float(arguments["initial_accumulator"])
    return {"eps": float(arguments["eps"]), "initial_accumulator_value": start}


def _adadelta(arguments: Mapping[str, Json]) -> dict[str, Any]:
    return {"rho": float(arguments["rho"]), "eps": float(arguments["eps"])}


def _rmsprop(arguments: Mapping[str, Json]) -> dict[str, Any]:
    numbers = {name: float(arguments[name]) for name in ("alpha", "eps", "momentum")}
    return {**numbers, "centered": arguments["centered"]}


def _asgd(arguments: Mapping[str, Json]) -> dict[str, Any]:
    return {name: float(arguments[name]) for name in ("lambd", "alpha", "t0")}


def _rprop(arguments: Mapping[str, Json]) -> dict[str, Any]:
    return {
        "etas": (float(arguments["eta_minus"]), float(arguments["eta_plus"])),
        "step_sizes": (float(arguments["step_min"]), float(arguments["step_max"])),
    }


def _lbfgs(arguments: Mapping[str, Json]) -> dict[str, Any]:
    return {
        "max_iter": arguments["max_iter"],
        "history_size": arguments["history_size"],
        "line_search_fn": None if arguments["line_search"] == "none" else arguments["line_search"],
    }


_OPTIMIZERS: Final[
    Mapping[str, tuple[type[torch.optim.Optimizer], Callable[[Mapping[str, Json]], dict[str, Any]]]]
] = {
    "sgd": (torch.optim.SGD, _sgd),
    "momentum": (torch.optim.SGD, _sgd),
    "adam": (torch.optim.Adam, _adam),
    "adamw": (torch.optim.AdamW, _adam),
    "adamax": (torch.optim.Adamax, _moments),
    "nadam": (torch.optim.NAdam, _nadam),
    "radam": (torch.optim.RAdam, _moments),
    "adagrad": (torch.optim.Adagrad, _adagrad),
    "adadelta": (torch.optim.Adadelta, _adadelta),
    "rmsprop": (torch.optim.RMSprop, _rmsprop),
    "asgd": (torch.optim.ASGD, _asgd),
    "rprop": (torch.optim.Rprop, _rprop),
    "lbfgs": (torch.optim.LBFGS, _lbfgs),
}
# What paddle 3.3.1 keeps in float32, by torch's names. Adamax isn't here: paddle rounds its betas
# in one place and not in another, and its eps stands elsewhere (a known difference).
_FLOAT32: Final[Mapping[type[torch.optim.Optimizer], tuple[str, ...]]] = {
    torch.optim.SGD: ("momentum", "weight_decay"),
    torch.optim.AdamW: ("weight_decay",),
    torch.optim.NAdam: ("betas", "eps", "momentum_decay"),
    torch.optim.RAdam: ("betas", "eps"),
    torch.optim.Adagrad: ("eps",),
    torch.optim.Adadelta: ("rho", "eps"),
    torch.optim.RMSprop: ("alpha", "eps", "momentum"),
}
_KNOWN_TO_DIFFER: Final[Mapping[type[torch.optim.Optimizer], tuple[str, tuple[str, ...]]]] = {
    torch.optim.RMSprop: ("rmsprop", ("alpha", "eps", "momentum", "centered")),
    torch.optim.Adamax: ("adamax", ("betas", "eps")),
    torch.optim.ASGD: ("asgd", ("lambd", "alpha", "t0")),
}
