"""What the port file says about weights, checked against the tensors that exist."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from portalign.errors import MappingError
from portalign.records import Structure

_CHOICES = ("as_is", "transposed")


def renamed(
    reference: Structure, candidate: Structure, rename: Sequence[Sequence[str]]
) -> dict[str, str]:
    """Reference name -> candidate name, for every reference name that a rename matches.

    Raises:
        MappingError: a regex is broken, matches nothing, or leads to a name that isn't there or is
            taken.
    """
    names = [info.name for info in reference.state]
    targets = {info.name for info in candidate.state}
    found: dict[str, str] = {}
    for pattern, replacement in rename:
        matched = [m for name in names if (m := _compiled(pattern).fullmatch(name))]
        if not matched:
            raise MappingError(
                f"rename {pattern!r} matches no full name of the reference",
                why="it would silently do nothing",
                do="correct it under `weights: {rename: ...}`; the regex must match the whole name",
            )
        for match in matched:
            target = _expanded(match, replacement)
            if match.string not in found:
                found[match.string] = _free(match.string, target, targets, found)
    return found


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as err:
        raise MappingError(
            f"rename {pattern!r} is no regular expression: {err}",
            why="it can't be matched against the reference's names",
            do="correct it under `weights: {rename: ...}`; write `\\.` for a dot",
        ) from err


def _expanded(match: re.Match[str], replacement: str) -> str:
    try:
        return match.expand(replacement)
    except (re.error, IndexError) as err:
        raise MappingError(
            f"replacement {replacement!r} of rename {match.re.pattern!r} can't be used: {err}",
            why="the candidate's name can't be made from it",
            do="refer to groups of the regex as \\1, \\2, ... under `weights: {rename: ...}`",
        ) from err


def _free(name: str, target: str, targets: set[str], found: Mapping[str, str]) -> str:
    if target not in targets:
        raise MappingError(
            f"rename leads from {name} to {target}, which the candidate doesn't have",
            why="there is nothing to load the reference's values into",
            do="correct the replacement under `weights: {rename: ...}`",
        )
    if target in found.values():
        (first,) = [other for other, taken in found.items() if taken == target]
        raise MappingError(
            f"renames lead from both {first} and {name} to {target}",
            why="one tensor can't hold the values of two",
            do="make the regexes under `weights: {rename: ...}` more specific",
        )
    return target


def check_layouts(
    reference: Structure, candidate: Structure, layout: Mapping[str, str]
) -> Mapping[str, str]:
    """The layouts of the port file, each known to mean something.

    Raises:
        MappingError: a name that neither side has, or a word other than as_is and transposed.
    """
    known = {info.name for side in (reference, candidate) for info in side.state}
    for name, choice in layout.items():
        if choice not in _CHOICES:
            raise MappingError(
                f"layout {choice!r} for {name} is none of {', '.join(_CHOICES)}",
                why="it doesn't say how the matrix lies",
                do="correct it under `weights: {layout: ...}`",
            )
        if name not in known:
            raise MappingError(
                f"a layout is given for {name}, which neither side has",
                why="it would silently do nothing",
                do="correct the name under `weights: {layout: ...}`",
            )
    return layout
