"""All that stands against a weight plan, in one error with the port-file lines that settle it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from portalign.errors import MappingError
from portalign.mapping._items import Item
from portalign.mapping._packing import is_interleaved, seems_packed

_MOST_LINES = 40  # per section; a port of another model has hundreds, and forty tell as much


@final
@dataclass(frozen=True, slots=True)
class Problems:
    """What a search left open.

    Attributes:
        misfits: matched, but no layout makes the shapes or dtype kinds agree.
        ambiguous: reference item -> the candidate items it could be.
        missing: reference items without any place.
        unfilled: candidate items that nothing fills.
        open_layouts: square matrices of unknown type.
        conflicts: candidate tensors with more than one source.
    """

    misfits: tuple[str, ...]
    ambiguous: Mapping[Item, Sequence[Item]]
    missing: tuple[Item, ...]
    unfilled: tuple[Item, ...]
    open_layouts: tuple[str, ...] = ()
    open_names: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()


def complain(problems: Problems) -> None:
    """Raise one MappingError if there is any problem.

    Raises:
        MappingError: with every problem, by section, and the lines to add.
    """
    sections = {
        "ambiguous": [_choices(item, others) for item, others in problems.ambiguous.items()],
        "shapes disagree": problems.misfits,
        "no place in the candidate": [_shaped(item) for item in problems.missing],
        "filled by nothing": [_shaped(item) for item in problems.unfilled],
        "layout open": problems.open_layouts,
        "more than one source": problems.conflicts,
    }
    found = [
        f"{title}:\n" + "\n".join(f"    {line}" for line in _capped(lines))
        for title, lines in sections.items()
        if lines
    ]
    if found:
        raise MappingError(
            "the reference's weights don't map to the candidate\n  " + "\n  ".join(found),
            why="loading them would take a guess, and a wrong pairing can look like a right one",
            do=_remedy(problems),
        )


def _capped(lines: Iterable[str]) -> list[str]:
    lines = list(dict.fromkeys(lines))
    extra = len(lines) - _MOST_LINES
    return lines if extra <= 0 else [*lines[:_MOST_LINES], f"... and {extra} more"]


def _shaped(item: Item) -> str:
    return f"{item} {list(item.leaf.shape)} of {item.leaf.owner}"


def _choices(item: Item, others: Sequence[Item]) -> str:
    return f"{_shaped(item)} could be {' or '.join(str(other) for other in others)}"


def _remedy(problems: Problems) -> str:
    """What to type: port-file lines where a line settles it, else where to look."""
    parts = []
    if problems.ambiguous:
        lines = [
            f"- ['{re.escape(item.name)}', '{others[0].name}']{_or(others)}"
            for item, others in problems.ambiguous.items()
        ]
        parts.append(_block("rename", lines))
    if problems.open_names:
        lines = [f"{name}: as_is  # or transposed" for name in problems.open_names]
        parts.append(_block("layout", lines))
    if lines := _packing_lines((*problems.missing, *problems.unfilled)):
        parts.append(_block("layout", lines))
    if problems.missing or problems.unfilled:
        parts.append(
            "where two of the lists mean the same tensor, pair them in the port file as "
            "`weights: {rename: [['reference regex', 'candidate name']]}`; else the candidate "
            "lacks a module or has one too many"
        )
    if problems.misfits:
        parts.append("give the candidate's modules the reference's sizes, or rename if mispaired")
    if problems.conflicts:
        parts.append("tie on both sides, or on neither, what the reference ties")
    return "\n".join(parts)


def _packing_lines(items: Iterable[Item]) -> list[str]:
    """A line for every open tensor that seems to pack others in a way that only its side knows."""
    lines = []
    for item in items:
        parts = () if item.part else seems_packed(item)
        if parts:
            by = " by HEADS" if is_interleaved(item) else ""
            note = "the parts in their order; `by 12` if they alternate for 12 heads"
            lines.append(f"'{_pattern(item.name)}': {' '.join(parts)}{by}  # {note}")
    return lines


def _pattern(name: str) -> str:
    r"""The name itself, or a regex for all layers alike.

    >>> _pattern("h.3.attn.qkv.weight")
    'h\\.\\d+\\.attn\\.qkv\\.weight'
    """
    pattern = re.sub(r"(?<=\\\.)\d+(?=\\\.)", r"\\d+", re.escape(name))
    return pattern if pattern != re.escape(name) else name


def _or(others: Sequence[Item]) -> str:
    rest = " or ".join(other.name for other in others[1:])
    return f"  # or {rest}" if rest else ""


def _block(title: str, lines: Iterable[str]) -> str:
    body = "\n".join(f"      {line}" for line in _capped(lines))
    return f"add to the port file, corrected where needed:\n  weights:\n    {title}:\n{body}"
