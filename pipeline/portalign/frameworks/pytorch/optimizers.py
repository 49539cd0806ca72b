"""Optimizers in torch, by portalign's names, as a PyTorch user builds them.

Twin of `paddlepaddle.optimizers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch

from portalign.equivalents.arguments import resolve
from portalign.equivalents.rows import Area
from portalign.errors import CaptureError
from portalign.functions import call_function
from portalign.request import Json, Spec


def optimizer(
    model: torch.nn.Module, spec: Spec, *, settings: Mapping[str, object]
) -> torch.optim.Optimizer:
    """Build the optimizer over the model's trainable parameters.

    Parameters whose full name contains one of ``no_decay`` (upper and lower case alike) get a group
    of their own without weight decay; the first group holds the rest.

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
    weights, its weight decay as much again, AdamW's weight decay 5e-10 (3e-9 at 0.1). Adam's and
    SGD's scalars are doubles there, and rounding them would make the difference.
    """
    for group in optimizer.param_groups:
        for name in _float32_names(optimizer, group):
            group[name] = float(np.float32(group[name]))


def rounded_constants(spec: Spec) -> tuple[str, ...]:
    """What `round_like_paddle` and the twin's clipping change for this optimizer, in words."""
    arguments = resolve(Area.OPTIMIZER, spec)
    if spec.function:
        rounded = [
            "momentum and weight decay of SGD with momentum, weight decay of AdamW, as float32"
        ]
    else:
        parameter = torch.nn.Parameter(torch.zeros(1))
        built = _build(spec.name, [{"params": [parameter]}], arguments)
        rounded = [
            f"optimizer {name} {built.param_groups[0][name]} as float32"
            for name in _float32_names(built, built.param_groups[0])
        ]
    if arguments["clip_norm"] is not None:
        rounded.append("clip_norm without the 1e-6 that torch adds to the norm and paddle doesn't")
    return tuple(rounded)


def _float32_names(optimizer: torch.optim.Optimizer, group: Mapping[str, Any]) -> tuple[str, ...]:
    if isinstance(optimizer, torch.optim.SGD) and group["momentum"]:
        return ("momentum", "weight_decay") if group["weight_decay"] else ("momentum",)
    if isinstance(optimizer, torch.optim.AdamW) and group["weight_decay"]:
        return ("weight_decay",)
    return ()


def _groups(model: torch.nn.Module, arguments: Mapping[str, Json]) -> list[dict[str, Any]]:
    trainable = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    parts = [part.lower() for part in arguments["no_decay"]]
    decayed = [p for name, p in trainable if not any(part in name.lower() for part in parts)]
    spared = [p for name, p in trainable if any(part in name.lower() for part in parts)]
    groups: list[dict[str, Any]] = [
        {"params": decayed},
        {"params": spared, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _build(
    name: str, groups: list[dict[str, Any]], arguments: Mapping[str, Json]
) -> torch.optim.Optimizer:
    return _OPTIMIZERS[name](groups, arguments)


def _sgd(groups: list[dict[str, Any]], arguments: Mapping[str, Json]) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        groups,
        lr=float(arguments["lr"]),
        momentum=float(arguments["momentum"]),
        nesterov=arguments["nesterov"],
        weight_decay=float(arguments["weight_decay"]),
    )


def _adam(groups: list[dict[str, Any]], arguments: Mapping[str, Json]) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, **_moments(arguments))


def _adamw(groups: list[dict[str, Any]], arguments: Mapping[str, Json]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, **_moments(arguments))


def _moments(arguments: Mapping[str, Json]) -> dict[str, Any]:
    return {
        "lr": float(arguments["lr"]),
        "betas": (float(arguments["beta1"]), float(arguments["beta2"])),
        "eps": float(arguments["eps"]),
        "weight_decay": float(arguments["weight_decay"]),
    }


_OPTIMIZERS: Final = {"sgd": _sgd, "momentum": _sgd, "adam": _adam, "adamw": _adamw}
