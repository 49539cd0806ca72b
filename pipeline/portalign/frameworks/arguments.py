"""The argument tables: portalign's canonical names, defaults and checks for every `Spec`.

Both frameworks resolve a spec here and translate the canonical arguments into their own words, so a
default is written once and a misspelt argument never falls back to it. A new name is one row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from portalign.errors import CaptureError
from portalign.request import Json, Spec


class Group(str, Enum):
    """What a spec describes. The value is how messages call it."""

    LOSS = "loss"
    OPTIMIZER = "optimizer"
    LR_SCHEDULER = "lr_scheduler"
    METRIC = "metric"


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a named spec.

    Attributes:
        wanted: what a valid value is, for messages ("a number >= 0").
        check: tells whether a value from the port file is valid.
        default: value when the port file is silent; checked by nobody.
        is_required: there is no default.
    """

    wanted: str
    check: Callable[[Json], bool]
    default: Json = None
    is_required: bool = False


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(
    default: Json = None,
    *,
    low: float = -math.inf,
    below: float = math.inf,
    required: bool = False,
    optional: bool = False,
) -> Argument:
    bounds = (f" >= {low:g}" if low > -math.inf else "") + (
        f" and < {below:g}" if below < math.inf else ""
    )

    def check(value: Json) -> bool:
        return (optional and value is None) or (_is_number(value) and low <= value < below)

    return Argument(f"a number{bounds}", check, default, required)


def _count(
    default: Json = None, *, low: int = 0, required: bool = False, optional: bool = False
) -> Argument:
    def check(value: Json) -> bool:
        return (optional and value is None) or (_is_count(value) and value >= low)

    return Argument(f"an integer >= {low}", check, default, required)


def _integer(default: int) -> Argument:
    return Argument("an integer", _is_count, default)


def _flag(default: bool) -> Argument:
    return Argument("true or false", lambda value: isinstance(value, bool), default)


def _text(default: str) -> Argument:
    return Argument("a name", lambda value: isinstance(value, str) and value != "", default)


def _choice(default: str, *others: str) -> Argument:
    known = (default, *others)
    return Argument(f"one of {', '.join(known)}", lambda value: value in known, default)


def _list(wanted: str, check: Callable[[Json], bool], *, required: bool = False) -> Argument:
    def check_all(value: Json) -> bool:
        return isinstance(value, (list, tuple)) and all(map(check, value))

    return Argument(wanted, check_all, (), required)


_POSITIVE: Final = 5e-324  # the smallest double: "> 0" as a lower bound

_OUTPUT: Final = {
    "output": Argument(
        "an output's name, or its index in a tuple",
        lambda value: _is_count(value) or (isinstance(value, str) and value != ""),
        "logits",
    ),
    "labels": _text("labels"),
}
_UPDATE: Final = {
    "lr": _number(low=0, required=True),
    "no_decay": _list(
        "a list of parts of parameter names", lambda v: isinstance(v, str) and v != ""
    ),
    "clip_norm": _number(low=_POSITIVE, optional=True),
    "clip_value": _number(low=_POSITIVE, optional=True),
}
_MOMENTUM: Final = {"nesterov": _flag(False), "weight_decay": _number(0.0, low=0)}
_MOMENTS: Final = {
    "beta1": _number(0.9, low=0, below=1),
    "beta2": _number(0.999, low=0, below=1),
    "eps": _number(1e-8, low=0),
}
_CURVE: Final = {  # what the lr_scheduler step reads; the schedule itself doesn't
    "total": _count(low=1, optional=True),
    "probe": _list("a list of iterations", lambda v: _is_count(v) and v >= 0),
}
_GAMMA: Final = {"gamma": _number(0.1, low=0)}
_WARMUP: Final = {"warmup": _count(0), "total": _count(low=1, required=True)}
_AVERAGE: Final = {"average": _choice("binary", "macro", "micro", "weighted")}

Arguments = Mapping[str, Argument]

TABLES: Final[Mapping[Group, Mapping[str, Arguments]]] = {
    Group.LOSS: {
        # defaults of torch.nn.functional 2.13, which paddle 3.3.1 shares
        "cross_entropy": {
            **_OUTPUT,
            "label_smoothing": _number(0.0, low=0, below=1),
            "ignore_index": _integer(-100),
            "axis": _integer(-1),
        },
        "mse": _OUTPUT,
        "l1": _OUTPUT,
        "bce_with_logits": _OUTPUT,
    },
    Group.OPTIMIZER: {
        # defaults of torch.optim 2.13; every one of them is passed to paddle
        "sgd": {**_UPDATE, "momentum": _number(0.0, low=0), **_MOMENTUM},
        "momentum": {**_UPDATE, "momentum": _number(0.9, low=0), **_MOMENTUM},
        "adam": {**_UPDATE, **_MOMENTS, "weight_decay": _number(0.0, low=0)},
        "adamw": {**_UPDATE, **_MOMENTS, "weight_decay": _number(0.01, low=0)},
    },
    Group.LR_SCHEDULER: {
        "constant": _CURVE,
        "linear_warmup": {**_CURVE, **_WARMUP},
        # num_cycles 0.5 is transformers' and paddlenlp's default: half a cosine, from 1 to 0
        "cosine_warmup": {**_CURVE, **_WARMUP, "num_cycles": _number(0.5, low=0)},
        "step": {**_CURVE, "step_size": _count(low=1, required=True), **_GAMMA},
        "multi_step": {
            **_CURVE,
            "milestones": _list(
                "a list of iterations", lambda v: _is_count(v) and v > 0, required=True
            ),
            **_GAMMA,
        },
        "exponential": {**_CURVE, "gamma": _number(low=0, required=True)},
        "cosine": {
            **_CURVE,
            "t_max": _count(low=1, required=True),
            "eta_min": _number(0.0, low=0),
        },
        "polynomial": {
            **_CURVE,
            "total": _count(low=1, required=True),
            "power": _number(1.0, low=0),
            "end_lr": _number(0.0, low=0),
        },
        "linear": {  # start and end are factors of the base LR
            **_CURVE,
            "total": _count(low=1, required=True),
            "start": _number(1 / 3, low=_POSITIVE),
            "end": _number(1.0, low=0),
        },
    },
    Group.METRIC: {
        "accuracy": {"k": _count(1, low=1)},
        "precision": _AVERAGE,
        "recall": _AVERAGE,
        "f1": _AVERAGE,
        # 2^20 bins instead of 4096: see paddlepaddle.metrics for what that changes
        "auc": {},
    },
}

_FUNCTION: Final[Mapping[Group, Arguments]] = {
    Group.LOSS: {},
    Group.OPTIMIZER: {
        "lr": _number(low=0, optional=True),
        "clip_norm": _UPDATE["clip_norm"],
        "clip_value": _UPDATE["clip_value"],
    },
    Group.LR_SCHEDULER: _CURVE,
    Group.METRIC: {},
}


def resolve(group: Group, spec: Spec) -> dict[str, Json]:
    """Complete and check the arguments of a spec.

    A porter's own function takes what portalign itself needs (an optimizer's ``lr``, ``clip_norm``,
    ``clip_value``; a scheduler's ``total``, ``probe``) and nothing else: it reads the settings.

    Args:
        group: what the spec describes; its value is the word used in messages.
        spec: as in the request.

    Returns:
        Every canonical argument of the name, defaults filled in.

    Raises:
        CaptureError: unknown name or argument, a missing or impossible value.

    >>> resolve(Group.METRIC, Spec("accuracy"))
    {'k': 1}
    """
    known = _FUNCTION[group] if spec.function else _row(group, spec.name)
    name = spec.function or spec.name
    if unknown := sorted(set(spec.args) - set(known)):
        raise CaptureError(
            f"{group.value} {name!r} has no argument {unknown[0]!r}; known: "
            f"{', '.join(known) or 'none, it reads the settings'}",
            why="an argument that nothing reads would be a silent default",
            do=f"correct `{group.value}:` in the port file",
        )
    values = {key: spec.args.get(key, argument.default) for key, argument in known.items()}
    for key, argument in known.items():
        if (key in spec.args or argument.is_required) and not argument.check(values[key]):
            _refuse(group, name, key, argument, spec.args)
    if values.get("clip_norm") is not None and values.get("clip_value") is not None:
        raise CaptureError(
            f"optimizer {name!r} names both clip_norm and clip_value",
            why="a paddle optimizer takes one gradient clip",
            do="keep one of them in `optimizer:` of the port file",
        )
    if values.get("nesterov") and not values["momentum"]:
        raise CaptureError(
            f"optimizer {name!r} has nesterov without momentum",
            why="torch refuses it and paddle ignores it",
            do="set `momentum`, or leave `nesterov` out, in `optimizer:` of the port file",
        )
    return values


def _row(group: Group, name: str) -> Arguments:
    if name not in TABLES[group]:
        raise CaptureError(
            f"{group.value} {name!r} is unknown; known: {', '.join(TABLES[group])}",
            why="portalign has no equivalent pair of that name for the two frameworks",
            do=f"take a known name, or give your own functions: "
            f"{group.value}: {{torch: file.py:fn, paddle: file.py:fn}}",
        )
    return TABLES[group][name]


def _refuse(
    group: Group, name: str, key: str, argument: Argument, given: Mapping[str, Json]
) -> None:
    found = f"is {given[key]!r}" if key in given else "is missing"
    hint = f"write `{key}: ...` with {argument.wanted} under `{group.value}:` in the port file"
    if key in given and isinstance(given[key], str) and "number" in argument.wanted:
        hint += " (YAML reads 3e-5 as text: write 3.0e-5)"
    raise CaptureError(
        f"{group.value} {name!r}: argument {key!r} {found}, wanted {argument.wanted}",
        why="the two sides could not be given the same value",
        do=hint,
    )
