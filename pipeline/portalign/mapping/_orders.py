"""What the port file says about weights, checked against the tensors that exist."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from portalign.errors import MappingError
from portalign.mapping.said import Said, understand
from portalign.records import Role, Structure


def renamed(
    reference: Iterable[str], candidate: Iterable[str], rename: Sequence[Sequence[str]]
) -> dict[str, str]:
    """Reference name -> candidate name, for every reference name that a rename matches.

    Args:
        reference, candidate: names of tensors, and of parts of packed ones ("qkv.weight:q").

    Raises:
        MappingError: a regex is broken, matches nothing, or leads to a name that isn't there or is
            taken.
    """
    names, targets = list(reference), set(candidate)
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
            do="correct the replacement under `weights: {rename: ...}`; `name:part` is a part of a "
            "tensor whose packing stands under `weights: {layout: ...}`",
        )
    if target in found.values():
        (first,) = [other for other, taken in found.items() if taken == target]
        raise MappingError(
            f"renames lead from both {first} and {name} to {target}",
            why="one tensor can't hold the values of two",
            do="make the regexes under `weights: {rename: ...}` more specific",
        )
    return target


def layouts_said(
    reference: Structure, candidate: Structure, layout: Mapping[str, str]
) -> tuple[dict[str, Said], dict[str, Said]]:
    """What the port file says of the tensors of each side, by their full names.

    A key that is a name means that tensor alone, another one is a regex of whole names; either may
    begin with ``reference:`` or ``candidate:`` and then speaks of that side only.

    Raises:
        MappingError: a key that no name of either side matches, or words that mean nothing.
    """
    found: dict[Role, dict[str, Said]] = {role: {} for role in Role}
    sides = {
        role: [info.name for info in side.state]
        for role, side in zip(Role, (reference, candidate), strict=True)
    }
    for key, text in layout.items():
        said, named = _understood(key, text), _named(key, sides)
        for role, name in named:
            if name == _bare(key) or name not in found[role]:
                found[role][name] = said
        if not named:
            raise MappingError(
                f"a layout is given for {key}, which neither side has",
                why="it would silently do nothing",
                do="correct the name under `weights: {layout: ...}`",
            )
    return found[Role.REFERENCE], found[Role.CANDIDATE]


def _understood(key: str, text: str) -> Said:
    try:
        return understand(text)
    except ValueError as err:
        raise MappingError(
            f"layout {text!r} for {key} means nothing",
            why="it doesn't say how the tensor lies",
            do=f"correct it under `weights: {{layout: ...}}`: {err}",
        ) from err


def _bare(key: str) -> str:
    """A key without the side it speaks of."""
    side, _, rest = key.partition(":")
    return rest if side in {role.value for role in Role} else key


def _named(key: str, sides: Mapping[Role, Sequence[str]]) -> list[tuple[Role, str]]:
    """Which tensors a key means: the one of that name on each side, else those it matches."""
    bare = _bare(key)
    spoken = [r for r in sides if key == bare or key.startswith(r.value)]
    exact = [(role, bare) for role in spoken if bare in sides[role]]
    if exact:
        return exact
    try:
        return [(role, n) for role in spoken for n in sides[role] if re.fullmatch(bare, n)]
    except re.error:
        return []
