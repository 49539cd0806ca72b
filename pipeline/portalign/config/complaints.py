"""What pydantic found wrong, in a porter's words: the file, the line, and the likely remedy."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from portalign.config.document import Document, Json, Place
from portalign.config.model import Port
from portalign.config.parts import Part, Side, Tolerance, Weights
from portalign.errors import PortFileError

PARTS: dict[Place, type[Part]] = {
    (): Port,
    ("reference",): Side,
    ("candidate",): Side,
    ("weights",): Weights,
    ("tolerance",): Tolerance,
}
_ASKED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list, such as [a, b]",
    "dict_type": "a mapping, such as {key: value}",
    "model_type": "a mapping, such as {key: value}",
    "string_too_short": "text that isn't empty",
    "missing": "a value",
}


def as_port_error(
    err: ValidationError, document: Document, where: Callable[[Place], str]
) -> PortFileError:
    """Turn a pydantic error into ours.

    Args:
        document: what was checked.
        where: names the place an entry came from: ``port.yaml:4``, or the option that set it.
    """
    details = sorted(err.errors(), key=lambda detail: document.line(_place(detail, document.data)))
    place = _place(details[0], document.data)
    found, why, do = _explain(details[0], place, document.data)
    more = len({_place(detail, document.data) for detail in details}) - 1
    if more:
        others = ", ".join(sorted({where(_place(detail, document.data)) for detail in details[1:]}))
        found += f" ({more} more to correct: {others})"
    return PortFileError(f"{where(place)}: {found}", why=why, do=do)


def nearest(key: str, known: Iterable[str]) -> str:
    """Name the closest known key, then all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(key, names, n=1)
    listed = f"known here: {', '.join(names)}" if names else "nothing is known here"
    return f"did you mean {close[0]!r}? ({listed})" if close else listed


def _place(detail: ErrorDetails, data: Json) -> Place:
    """The place in the file; pydantic's own has the names of union members in between."""
    entry = detail.get("ctx", {}).get("entry")
    if entry:
        return (str(entry),)
    place: Place = ()
    for part in detail["loc"]:
        if isinstance(data, dict) and part in data:
            data, place = data[str(part)], (*place, part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data, place = data[part], (*place, part)
    return place


def _explain(detail: ErrorDetails, place: Place, data: Json) -> tuple[str, str, str]:
    kind, context = detail["type"], detail.get("ctx", {})
    name = ".".join(map(str, place))
    if kind == "portalign":
        return str(context["found"]), str(context["why"]), str(context["do"])
    if kind == "extra_forbidden":
        known = list(PARTS.get(place[:-1], Port).model_fields)
        why = "a key that is read by nobody is most often a typing error"
        return f"unknown key {str(place[-1])!r}", why, nearest(str(place[-1]), known)
    if kind == "missing" and isinstance(detail["loc"][-1], int):
        found = f"{name}: {_value(data, place)!r}"
        return found, "it has too few items", "write a pair: [regex, replacement]"
    if kind == "missing":
        key = str(detail["loc"][-1])
        owner = f" of `{name}`" if name else ""
        return (
            f"`{key}:`{owner} is missing",
            "it has no default",
            f"add `{key}: ...`{_example(key)}",
        )
    value = _value(data, place)
    if kind == "literal_error":
        words = str(context["expected"])
        known = [word.strip("' ") for word in words.replace(" or ", ",").split(",")]
        return f"{name}: {value!r}", f"it must be {words}", nearest(str(value), known)
    if kind == "string_pattern_mismatch":
        pattern = context["pattern"]
        return f"{name}: {value!r}", f"it must look like {pattern}", "change the text accordingly"
    asked = _ASKED.get(kind)
    if asked:
        return f"{name}: {value!r}", f"it must be {asked}", f"write {asked} here"
    return f"{name}: {value!r}", detail["msg"], "write a value that is allowed here"


def _value(data: Json, place: Place) -> Any:
    for part in place:
        data = data[part]
    return data


def _example(key: str) -> str:
    examples = {
        "build": ", such as torch_side.py:build",
        "framework": ", torch or paddle",
        "name": ", a short name for the folder under logs/",
        "reference": ", such as {framework: torch, build: torch_side.py:build}",
        "candidate": ", such as {framework: paddle, build: paddle_side.py:build}",
    }
    return examples.get(key, "")
