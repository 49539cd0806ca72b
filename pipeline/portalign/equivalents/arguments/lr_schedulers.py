"""What each named LR scheduler takes, with its defaults."""

from __future__ import annotations

from typing import Final

from portalign.equivalents.arguments.argument import (
    POSITIVE,
    Accepted,
    Arguments,
    count,
    is_count,
    list_of,
    number,
)

_CURVE: Final = {  # what the lr_scheduler step reads; the schedule itself doesn't
    "total": count(low=1, optional=True),
    "probe": list_of("a list of iterations", lambda v: is_count(v) and v >= 0),
}
_GAMMA: Final = {"gamma": number(0.1, low=0)}
_WARMUP: Final = {"warmup": count(0), "total": count(low=1, required=True)}

LR_SCHEDULERS: Final[Accepted] = {
    "constant": _CURVE,
    "linear_warmup": {**_CURVE, **_WARMUP},
    # num_cycles 0.5 is transformers' and paddlenlp's default: half a cosine, from 1 to 0
    "cosine_warmup": {**_CURVE, **_WARMUP, "num_cycles": number(0.5, low=0)},
    "step": {**_CURVE, "step_size": count(low=1, required=True), **_GAMMA},
    "multi_step": {
        **_CURVE,
        "milestones": list_of(
            "a list of iterations", lambda v: is_count(v) and v > 0, required=True
        ),
        **_GAMMA,
    },
    "exponential": {**_CURVE, "gamma": number(low=0, required=True)},
    "cosine": {
        **_CURVE,
        "t_max": count(low=1, required=True),
        "eta_min": number(0.0, low=0),
    },
    "polynomial": {
        **_CURVE,
        "total": count(low=1, required=True),
        "power": number(1.0, low=0),
        "end_lr": number(0.0, low=0),
    },
    "linear": {  # start and end are factors of the base LR
        **_CURVE,
        "total": count(low=1, required=True),
        "start": number(1 / 3, low=POSITIVE),
        "end": number(1.0, low=0),
    },
}
OWN_LR_SCHEDULER: Final[Arguments] = _CURVE  # of a porter's function
