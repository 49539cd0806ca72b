"""`--set key=value`: one entry of the port file replaced for one run.

An override may change what is there and set what the port file could say, and nothing else: a key
that nobody reads, or a value of another type, would make a run that isn't the one asked for.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from portalign.config.complaints import PARTS, nearest
from portalign.config.document import Json, Place, parse_value
from portalign.errors import PortFileError

_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a mapping",
    type(None): "nothing",
}


@dataclass(frozen=True, slots=True)
class Override:
    """One ``--set``, taken apart."""

    text: str
    place: Place
    value: Json


def read(texts: Sequence[str]) -> tuple[Override, ...]:
    """Take ``settings.size=base`` apart; values are read as YAML.

    Raises:
        PortFileError: not of the form key=value.
    """
    found = []
    for text in texts:
        key, equals, value = text.partition("=")
        place: Place = tuple(part.strip() for part in key.split("."))
        if not equals or not all(place):
            raise PortFileError(
                f"--set {text}: this is not key=value",
                why="it names no entry of the port file to change",
                do="write for example --set settings.size=base",
            )
        found.append(Override(text, place, parse_value(value, name=f"--set {text}", place=place)))
    return tuple(found)


def apply(data: dict[str, Json], overrides: Sequence[Override]) -> dict[str, Json]:
    """The port file's data with every override in it; `data` stays as it is.

    Raises:
        PortFileError: an unknown key, or a value of another type than the one it replaces.
    """
    result: dict[str, Json] = copy.deepcopy(data)
    for override in overrides:
        _apply_one(result, override)
    return result


def _apply_one(data: dict[str, Json], override: Override) -> None:
    inner: Json = data
    for depth, part in enumerate(override.place):
        here = override.place[:depth]
        if not isinstance(inner, dict):
            raise _error(
                override,
                f"`{_dotted(here)}` is {inner!r} in the port file, which has no keys",
                do=f"set {_dotted(here)} as a whole, or write it as a mapping in the port file",
            )
        is_last = depth == len(override.place) - 1
        if part not in inner and not _may_be_added(here, part):
            known = {*inner, *(PARTS[here].model_fields if here in PARTS else ())}
            what = f"`{_dotted(here)}` has no key {part!r}" if here else f"no key {part!r}"
            raise _error(override, f"{what} in the port file", do=nearest(str(part), known))
        if not is_last:
            inner = inner.setdefault(part, {})
        else:
            inner[part] = _same_type(inner.get(part), override)


def _may_be_added(here: Place, part: str | int) -> bool:
    return here in PARTS and part in PARTS[here].model_fields


def _same_type(old: Json, override: Override) -> Json:
    new = override.value
    if type(old) is float and type(new) is int:
        return float(new)
    if old is not None and type(new) is not type(old) and override.place != ("record",):
        raise _error(
            override,
            f"{new!r} is {_kind(new)}, and the port file has {_kind(old)}: {old!r}",
            do=f"give {_kind(old)}, or change the port file",
        )
    return new


def _error(override: Override, found: str, *, do: str) -> PortFileError:
    why = "the run would not be the one that was asked for"
    return PortFileError(f"--set {override.text}: {found}", why=why, do=do)


def _dotted(place: Place) -> str:
    return ".".join(map(str, place))


def _kind(value: Json) -> str:
    return _KINDS[type(value)]
