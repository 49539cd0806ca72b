"""The argument tables: portalign's canonical names, defaults and checks for every `Spec`.

Both frameworks resolve a spec here and translate the canonical arguments into their own words, so a
default is written once and a misspelt argument never falls back to it. A new name is one row of its
area's file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from portalign.equivalents.arguments.argument import Accepted, Argument, Arguments
from portalign.equivalents.arguments.losses import LOSSES
from portalign.equivalents.arguments.lr_schedulers import (
    LR_SCHEDULERS,
    OWN_LR_SCHEDULER,
    check_together,
)
from portalign.equivalents.arguments.metrics import METRICS
from portalign.equivalents.arguments.optimizers import OPTIMIZERS, OWN_OPTIMIZER
from portalign.equivalents.rows import Area
from portalign.errors import CaptureError
from portalign.request import Json, Spec

TABLES: Final[Mapping[Area, Accepted]] = {
    Area.LOSS: LOSSES,
    Area.OPTIMIZER: OPTIMIZERS,
    Area.LR_SCHEDULER: LR_SCHEDULERS,
    Area.METRIC: METRICS,
}
_FUNCTION: Final[Accepted] = {
    Area.LOSS: {},
    Area.OPTIMIZER: OWN_OPTIMIZER,
    Area.LR_SCHEDULER: OWN_LR_SCHEDULER,
    Area.METRIC: {},
}


def resolve(area: Area, spec: Spec) -> dict[str, Json]:
    """Complete and check the arguments of a spec.

    A porter's own function takes what portalign itself needs (an optimizer's ``lr``, ``clip_norm``
    and the like; a scheduler's ``total``, ``probe``, ``every``, ``iterations_per_epoch``) and
    nothing else: it reads the settings.

    Args:
        area: what the spec describes; its value is the word used in messages.
        spec: as in the request.

    Returns:
        Every canonical argument of the name, defaults filled in; so are those of the schedules in
        a sequential or chained one.

    Raises:
        CaptureError: unknown name or argument, a missing or impossible value.

    >>> resolve(Area.METRIC, Spec("exact_match"))
    {'ignore_index': -100, 'axis': -1}
    """
    known = _FUNCTION[area] if spec.function else _row(area, spec.name)
    name = spec.function or spec.name
    if unknown := sorted(set(spec.args) - set(known)):
        raise CaptureError(
            f"{area.value} {name!r} has no argument {unknown[0]!r}; known: "
            f"{', '.join(known) or 'none, it reads the settings'}",
            why="an argument that nothing reads would be a silent default",
            do=f"correct `{area.value}:` in the port file",
        )
    values = {key: spec.args.get(key, argument.default) for key, argument in known.items()}
    for key, argument in known.items():
        if (key in spec.args or argument.is_required) and not argument.check(values[key]):
            _refuse(area, name, key, argument, spec.args)
    clips = [key for key in known if key.startswith("clip_") and values[key] is not None]
    if len(clips) > 1:
        raise CaptureError(
            f"optimizer {name!r} names both {' and '.join(clips[:2])}",
            why="a paddle optimizer takes one gradient clip",
            do="keep one of them in `optimizer:` of the port file",
        )
    if values.get("nesterov") and not values["momentum"]:
        raise CaptureError(
            f"optimizer {name!r} has nesterov without momentum",
            why="torch refuses it and paddle ignores it",
            do="set `momentum`, or leave `nesterov` out, in `optimizer:` of the port file",
        )
    if area is Area.LR_SCHEDULER:
        check_together(name, values)
        if schedules := values.get("schedules"):
            values["schedules"] = [_inner(each) for each in schedules]
    return values


def _inner(schedule: Mapping[str, Json]) -> dict[str, Json]:
    args = {key: value for key, value in schedule.items() if key != "name"}
    return {
        "name": schedule["name"],
        **resolve(Area.LR_SCHEDULER, Spec(schedule["name"], args=args)),
    }


def _row(area: Area, name: str) -> Arguments:
    if name not in TABLES[area]:
        raise CaptureError(
            f"{area.value} {name!r} is unknown; known: {', '.join(TABLES[area])}",
            why="portalign has no equivalent pair of that name for the two frameworks",
            do=f"take a known name, or give your own functions: "
            f"{area.value}: {{torch: file.py:fn, paddle: file.py:fn}}",
        )
    return TABLES[area][name]


def _refuse(area: Area, name: str, key: str, argument: Argument, given: Mapping[str, Json]) -> None:
    found = f"is {given[key]!r}" if key in given else "is missing"
    hint = f"write `{key}: ...` with {argument.wanted} under `{area.value}:` in the port file"
    if key in given and isinstance(given[key], str) and "number" in argument.wanted:
        hint += " (YAML reads 3e-5 as text: write 3.0e-5)"
    raise CaptureError(
        f"{area.value} {name!r}: argument {key!r} {found}, wanted {argument.wanted}",
        why="the two sides could not be given the same value",
        do=hint,
    )
