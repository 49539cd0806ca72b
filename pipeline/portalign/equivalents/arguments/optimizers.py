"""What each named optimizer takes, with its defaults."""

from __future__ import annotations

from typing import Final

from portalign.equivalents.arguments.argument import (
    POSITIVE,
    Accepted,
    Arguments,
    flag,
    list_of,
    number,
)

_UPDATE: Final = {
    "lr": number(low=0, required=True),
    "no_decay": list_of(
        "a list of parts of parameter names", lambda v: isinstance(v, str) and v != ""
    ),
    "clip_norm": number(low=POSITIVE, optional=True),
    "clip_value": number(low=POSITIVE, optional=True),
}
_MOMENTUM: Final = {"nesterov": flag(False), "weight_decay": number(0.0, low=0)}
_MOMENTS: Final = {
    "beta1": number(0.9, low=0, below=1),
    "beta2": number(0.999, low=0, below=1),
    "eps": number(1e-8, low=0),
}

OPTIMIZERS: Final[Accepted] = {
    # defaults of torch.optim 2.13; every one of them is passed to paddle
    "sgd": {**_UPDATE, "momentum": number(0.0, low=0), **_MOMENTUM},
    "momentum": {**_UPDATE, "momentum": number(0.9, low=0), **_MOMENTUM},
    "adam": {**_UPDATE, **_MOMENTS, "weight_decay": number(0.0, low=0)},
    "adamw": {**_UPDATE, **_MOMENTS, "weight_decay": number(0.01, low=0)},
}
OWN_OPTIMIZER: Final[Arguments] = {  # of a porter's function
    "lr": number(low=0, optional=True),
    "clip_norm": _UPDATE["clip_norm"],
    "clip_value": _UPDATE["clip_value"],
}
