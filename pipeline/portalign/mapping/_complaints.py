"""All that stands against a weight plan, in one error with the port-file lines that settle it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from portalign.errors import MappingError
from portalign.mapping._items import Item
from portalign.mapping._packing import is_interleaved, seems_packed
from portalign.mapping._stacks import Layers

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
        stacks: of the reference and of the candidate, tensors that could hold a slice of each layer
            of the other side, and which of its tensors.
    """

    misfits: tuple[str, ...]
    ambiguous: Mapping[Item, Sequence[Item]]
    missing: tuple[Item, ...]
    unfilled: tuple[Item, ...]
    open_layouts: tuple[str, ...] = ()
    open_names: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    stacks: tuple[Sequence[tuple[Item, Sequence[Layers]]], ...] = ((), ())


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
    renames = [
        f"- ['{re.escape(item.name)}', '{others[0].name}']{_or([o.name for o in others])}"
        for item, others in problems.ambiguous.items()
    ]
    layouts = [f"'{_pattern(name)}': as_is  # or transposed" for name in problems.open_names]
    layouts += _packing_lines((*problems.missing, *problems.unfilled))
    for is_ours, stacks in zip((True, False), problems.stacks, strict=True):
        for stack, layers in stacks:
            layouts.append(f"'{stack.name}': stacked  # axis 0 numbers the layers")
            renames.append(_stack_line(stack, layers, is_ours=is_ours))
    if renames or layouts:
        parts.append(_block({"rename": renames, "layout": layouts}))
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


def _stack_line(stack: Item, layers: Sequence[Layers], *, is_ours: bool) -> str:
    """The rename that pairs layers with the slices of one tensor, of the reference if `is_ours`."""
    first, *others = [_split_at_index(each) for each in layers]
    rest = _or(["*".join(each) for each in (first, *others)])
    if is_ours:
        return f"- ['{re.escape(stack.name)}:(\\d+)', '{first[0]}\\1{first[1]}']{rest}"
    before, after = map(re.escape, first)
    return f"- ['{before}(\\d+){after}', '{stack.name}:\\1']{rest}"


def _split_at_index(layers: Layers) -> tuple[str, str]:
    """What stands before and after the layer's number in the names."""
    segments = [item.name.split(".") for item in layers.items[:2]]
    at = next(i for i, (a, b) in enumerate(zip(*segments, strict=True)) if a != b)
    before, after = ".".join(segments[0][:at]), ".".join(segments[0][at + 1 :])
    return f"{before}." if before else "", f".{after}" if after else ""


def _pattern(name: str) -> str:
    r"""The name itself, or a regex for all layers alike.

    >>> _pattern("h.3.attn.qkv.weight")
    'h\\.\\d+\\.attn\\.qkv\\.weight'
    """
    pattern = re.sub(r"(?<=\\\.)\d+(?=\\\.)", r"\\d+", re.escape(name))
    return pattern if pattern != re.escape(name) else name


def _or(names: Sequence[str]) -> str:
    rest = " or ".join(names[1:])
    return f"  # or {rest}" if rest else ""


def _block(lines: Mapping[str, Sequence[str]]) -> str:
    """The entries of `weights:` that hold these lines."""
    text = "add to the port file, corrected where needed:\n  weights:"
    for title, own in lines.items():
        if own:
            text += f"\n    {title}:\n" + "\n".join(f"      {line}" for line in _capped(own))
    return text
