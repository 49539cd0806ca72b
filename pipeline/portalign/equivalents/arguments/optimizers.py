"""What each named optimizer takes, with its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from portalign.equivalents.arguments.argument import (
    POSITIVE,
    Accepted,
    Argument,
    Arguments,
    choice,
    count,
    flag,
    is_number,
    list_of,
    number,
)
from portalign.request import Json


def _are_factors(value: Json) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(part, str) and part and is_number(factor) and factor > 0
        for part, factor in value.items()
    )


_LR: Final = {"lr": number(low=0, required=True)}
_CLIP: Final = {
    "clip_norm": number(low=POSITIVE, optional=True),  # of all gradients together
    "clip_each_norm": number(low=POSITIVE, optional=True),  # of each gradient by itself
    "clip_value": number(low=POSITIVE, optional=True),
}
_UPDATE: Final = {
    **_LR,
    "no_decay": list_of(
        "a list of parts of parameter names", lambda v: isinstance(v, str) and v != ""
    ),
    "lr_scale": Argument("parts of parameter names, each with a factor > 0", _are_factors, {}),
    **_CLIP,
}
_DECAY: Final = {"weight_decay": number(0.0, low=0)}
_EPS: Final = {"eps": number(1e-8, low=0)}
_MOMENTUM: Final = {"nesterov": flag(False), **_DECAY}
_BETAS: Final = {"beta1": number(0.9, low=0, below=1), "beta2": number(0.999, low=0, below=1)}
_MOMENTS: Final = {**_BETAS, **_EPS}
_AMSGRAD: Final = {"amsgrad": flag(False)}

OPTIMIZERS: Final[Accepted] = {
    # defaults of torch.optim 2.13; every one of them is passed to paddle
    "sgd": {**_UPDATE, "momentum": number(0.0, low=0), **_MOMENTUM},
    "momentum": {**_UPDATE, "momentum": number(0.9, low=0), **_MOMENTUM},
    "adam": {**_UPDATE, **_MOMENTS, **_AMSGRAD, **_DECAY},
    "adamw": {**_UPDATE, **_MOMENTS, **_AMSGRAD, "weight_decay": number(0.01, low=0)},
    "adamax": {**_UPDATE, **_MOMENTS, **_DECAY},
    "nadam": {**_UPDATE, **_MOMENTS, "momentum_decay": number(4e-3, low=0), **_DECAY},
    "radam": {**_UPDATE, **_MOMENTS, **_DECAY},
    "adagrad": {
        **_UPDATE,
        "eps": number(1e-10, low=0),
        "initial_accumulator": number(0.0, low=0),
        **_DECAY,
    },
    "adadelta": {
        **_UPDATE,
        "rho": number(0.9, low=0, below=1),
        "eps": number(1e-6, low=0),
        **_DECAY,
    },
    "rmsprop": {
        **_UPDATE,
        "alpha": number(0.99, low=0, below=1),
        **_EPS,
        "momentum": number(0.0, low=0),
        "centered": flag(False),
        **_DECAY,
    },
    "asgd": {
        **_UPDATE,
        "lambd": number(1e-4, low=0),  # torch's alone, as alpha and t0
        "alpha": number(0.75, low=0),
        "t0": number(1e6, low=0),
        **_DECAY,
    },
    "rprop": {
        **_LR,
        "eta_minus": number(0.5, low=POSITIVE, below=1),
        "eta_plus": number(1.2, low=1),
        "step_min": number(1e-6, low=POSITIVE),
        "step_max": number(50.0, low=POSITIVE),
        **_CLIP,
    },
    "lbfgs": {  # for the table of equivalents; the backward step refuses it
        **_LR,
        "max_iter": count(20, low=1),
        "history_size": count(100, low=1),
        "line_search": choice("none", "strong_wolfe"),
        **_CLIP,
    },
}
OWN_OPTIMIZER: Final[Arguments] = {"lr": number(low=0, optional=True), **_CLIP}
