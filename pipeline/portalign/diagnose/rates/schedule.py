"""A schedule with all its arguments: its curve, and which one the port file declares for a side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import numpy.typing as npt

from portalign.compare.curves import OF_PEAK, RELATIVE
from portalign.config.entries import Entry
from portalign.equivalents.arguments import resolve
from portalign.equivalents.rows import Area
from portalign.equivalents.schedules import curve, has_formula
from portalign.errors import CaptureError
from portalign.records import Role
from portalign.request import Json, Spec

Rates = npt.NDArray[np.float64]
Path = tuple[str | int, ...]  # of an argument: ("total",), ("schedules", 1, "gamma")
# What no port file names, in words.
_UNNAMED = {"start_lr": "start of the warmup", "first": "first count of the warmup"}
PACE = ("total", "probe", "every", "metrics", "iterations_per_epoch")


@final
@dataclass(frozen=True, slots=True)
class Schedule:
    """A named schedule on a base LR.

    Attributes:
        arguments: complete, as `arguments.resolve` gives them.
    """

    name: str
    arguments: Mapping[str, Json]
    base_lr: float

    def curve(self, n_points: int) -> Rates:
        """The rates of iterations 0 to `n_points` - 1; NaN where they aren't known."""
        return curve(self.name, self.arguments, base_lr=self.base_lr, n_points=n_points)

    def changed(self, path: Path, value: Json) -> Schedule:
        """The same with one argument changed; ("lr",) is the base LR."""
        if path == ("lr",):
            return replace(self, base_lr=value)
        return replace(self, arguments=_changed(self.arguments, path, value))

    def value(self, path: Path) -> Json:
        """The argument at a path."""
        if path == ("lr",):
            return self.base_lr
        found: Json = self.arguments
        for part in path:
            found = found.get(part) if isinstance(found, Mapping) else found[part]
        return found


def agree(left: Rates, right: Rates) -> bool:
    """Whether two curves are one, by the same measure that the verdict goes by.

    Points that either side doesn't know (NaN) are left out; three of four must be known.
    """
    known = ~(np.isnan(left) | np.isnan(right))
    if known.sum() * 4 < 3 * left.size or not known.any():
        return False
    size = np.abs(right[known])
    close = np.abs(left[known] - right[known]) <= RELATIVE * size + OF_PEAK * size.max()
    return bool(close.all())


def declared(settings: Mapping[str, Json], role: Role, rates: Rates) -> Schedule | None:
    """The schedule that the port file names for a side, if its formula gives what was captured.

    Args:
        settings: the port as plain data.
        rates: what was captured of this side [n].
    """
    spec, base_lr = _specs(settings, role)
    if spec is None or base_lr is None or not spec.name or not has_formula(spec.name):
        return None
    try:
        found = Schedule(spec.name, resolve(Area.LR_SCHEDULER, spec), base_lr)
    except CaptureError:  # a capture that went otherwise: nothing is declared then
        return None
    return found if agree(found.curve(rates.size), rates) else None


def known_numbers(settings: Mapping[str, Json], role: Role) -> tuple[float | None, int | None]:
    """The base LR and the `total` of the port file, where a side's own functions may have them."""
    spec, base_lr = _specs(settings, role)
    total = spec.args.get("total") if spec else None
    return base_lr, total if isinstance(total, int) else None


def paths(schedule: Schedule) -> Sequence[Path]:
    """Every argument that shapes the curve, those of inner schedules too, the base LR last."""
    return (*_paths(schedule.arguments, ()), ("lr",))


def said(path: Path) -> str:
    """An argument as a port file would name it.

    >>> said(("schedules", 1, "gamma"))
    "schedule 2's gamma"
    """
    if len(path) == 3:
        return f"schedule {int(path[1]) + 1}'s {path[2]}"
    return _UNNAMED.get(str(path[-1]), str(path[-1]))


def _paths(arguments: Mapping[str, Json], start: Path) -> list[Path]:
    found: list[Path] = []
    for key, value in arguments.items():
        if key == "schedules":
            for index, inner in enumerate(value):
                found += _paths(inner, (key, index))
        elif key not in ("name", *PACE) or (key == "total" and value is not None):
            found.append((*start, key))
    return found


def _changed(data: Json, path: Path, value: Json) -> Json:
    first, *rest = path
    inner = _changed(data[first], tuple(rest), value) if rest else value
    if isinstance(data, Mapping):
        return {**data, first: inner}
    return [inner if index == first else each for index, each in enumerate(data)]


def _specs(settings: Mapping[str, Json], role: Role) -> tuple[Spec | None, float | None]:
    framework = str((settings.get(role.value) or {}).get("framework", ""))
    found = []
    for name in ("lr_scheduler", "optimizer"):
        entry = settings.get(name)
        found.append(Entry.model_validate(entry).spec(role, framework) if entry else None)
    lr = found[1].args.get("lr") if found[1] else None
    return found[0], float(lr) if isinstance(lr, (int, float)) else None
