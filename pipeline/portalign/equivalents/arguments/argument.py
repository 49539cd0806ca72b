"""One argument of a named loss, optimizer, schedule or metric: what it may be, and its default."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from portalign.request import Json


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


def is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_count(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def number(
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
        return (optional and value is None) or (is_number(value) and low <= value < below)

    return Argument(f"a number{bounds}", check, default, required)


def count(
    default: Json = None, *, low: int = 0, required: bool = False, optional: bool = False
) -> Argument:
    def check(value: Json) -> bool:
        return (optional and value is None) or (is_count(value) and value >= low)

    return Argument(f"an integer >= {low}", check, default, required)


def integer(default: int) -> Argument:
    return Argument("an integer", is_count, default)


def flag(default: bool) -> Argument:
    return Argument("true or false", lambda value: isinstance(value, bool), default)


def text(default: str) -> Argument:
    return Argument("a name", lambda value: isinstance(value, str) and value != "", default)


def choice(default: str, *others: str) -> Argument:
    known = (default, *others)
    return Argument(f"one of {', '.join(known)}", lambda value: value in known, default)


def list_of(wanted: str, check: Callable[[Json], bool], *, required: bool = False) -> Argument:
    def check_all(value: Json) -> bool:
        return isinstance(value, (list, tuple)) and all(map(check, value))

    return Argument(wanted, check_all, (), required)


POSITIVE: Final = 5e-324  # the smallest double: "> 0" as a lower bound
Arguments = Mapping[str, Argument]  # by name
Accepted = Mapping[str, Arguments]  # by the name of the loss, optimizer, schedule or metric
