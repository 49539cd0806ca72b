"""Tensors that hold several others - query, key and value, gate and up - cut into their parts.

A name such as ``qkv`` says what is packed and in which order; how long each part is, the other
side's own tensors say. What a name leaves open is for the port file to say, and is not guessed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from portalign.errors import MappingError
from portalign.mapping._items import Item, Packing
from portalign.mapping._synonyms import is_standard_role, loose, token_of, words
from portalign.mapping.axes import Leaf
from portalign.mapping.said import Said

# Canonical token -> its parts, in the order in which libraries pack them under such a name.
_PACKED = {"qkv": ("q", "k", "v"), "kv": ("k", "v"), "gate_up": ("gate", "up")}
# BLOOM and GPT-NeoX interleave q, k and v head by head under this name: cutting it in three equal
# blocks would be wrong without any error.
_INTERLEAVED = frozenset(("query_key_value", "key_value"))
_Lengths = Mapping[tuple[str, ...], int | None]


def cut_packed(
    items: Sequence[Item], others: Iterable[Item], said: Mapping[str, Said], *, only_said: bool
) -> list[Item]:
    """The items, with packed ones replaced by their parts in the order they lie.

    Args:
        items: of one side, unmatched.
        others: of the other side; their sizes tell how long parts of unequal length are.
        said: what the port file says of this side's tensors.
        only_said: leave those alone that only their name calls packed.

    Raises:
        MappingError: a tensor can't hold what the port file says it does.
    """
    lengths = _lengths(others)
    found: list[Item] = []
    for item in items:
        words = said.get(item.name, Said())
        if item.part or words.is_stacked:
            found.append(item)
        elif words.parts:
            found += _cut_as_said(item, words, lengths)
        elif only_said or not (parts := _parts_by_name(item)):
            found.append(item)
        else:
            packing = _packing(item, Said(parts=parts), lengths)
            found += cut(item, packing) if packing else [item]
    return found


def cut(item: Item, packing: Packing) -> list[Item]:
    """The parts of an item."""
    return [_part(item, at, packing) for at in range(len(packing.parts))]


def seems_packed(item: Item) -> tuple[str, ...]:
    """The parts that a name speaks of, whatever their order; empty if it speaks of none."""
    said = words(item.tokens) | words(item.name.split("."))
    found = (parts for parts in _PACKED.values() if set(parts) <= said)
    return _parts_by_name(item) or next(found, ())


def is_interleaved(item: Item) -> bool:
    """Whether libraries use this name for parts that alternate head by head."""
    return bool(set(item.name.split(".")) & _INTERLEAVED)


def _parts_by_name(item: Item) -> tuple[str, ...]:
    if is_interleaved(item):
        return ()
    return next((_PACKED[token] for token in item.tokens if token in _PACKED), ())


def _cut_as_said(item: Item, said: Said, lengths: _Lengths) -> list[Item]:
    packing = _packing(item, said, lengths)
    if packing is not None:
        return cut(item, packing)
    groups = f" in {said.n_groups} groups" if said.n_groups > 1 else ""
    raise MappingError(
        f"{item.name} {list(item.leaf.shape)} can't hold {', '.join(said.parts)}{groups}",
        why="the port file says that it packs them, but no axis can be cut so",
        do="correct the parts, or the number after `by`, under `weights: {layout: ...}`",
    )


def _lengths(others: Iterable[Item]) -> _Lengths:
    """Loose tokens of the other side's tensors -> length of their output axis.

    None where the axis is not known or several tensors of that name differ.
    """
    found: dict[tuple[str, ...], set[int | None]] = defaultdict(set)
    for item in others:
        axis = _output_axis(item.leaf)
        found[loose(item.tokens)].add(None if axis is None else item.leaf.shape[axis])
    return {t: next(iter(sizes)) if len(sizes) == 1 else None for t, sizes in found.items()}


def _output_axis(leaf: Leaf) -> int | None:
    if len(leaf.shape) == 1 or (leaf.shape and leaf.family == "conv"):
        return 0
    is_matrix = len(leaf.shape) == 2  # a buffer of a Linear or Embedding may be a single number
    return leaf.axes.index("o") if is_matrix and leaf.axes in ("oi", "io") else None


def _packing(item: Item, said: Said, lengths: _Lengths) -> Packing | None:
    """How an item packs these parts; None where its shape doesn't tell or contradicts."""
    known = [lengths.get(loose(_instead(item.tokens, part))) for part in said.parts]
    shape, axis = item.leaf.shape, _output_axis(item.leaf)
    found = []
    for each in [axis] if axis is not None else range(min(len(shape), 2)):
        total, inputs = shape[each], shape[1 - each] if len(shape) == 2 else 0
        unit, left = divmod(total, sum(said.shares) or 1)
        if sum(said.shares) > len(said.parts):
            sizes = () if left else tuple(unit * share for share in said.shares)
        else:
            sizes = _sizes(known, total, inputs)
        if sizes and all(size % said.n_groups == 0 for size in sizes):
            found.append(Packing(said.parts, each, sizes, said.n_groups))
    return found[0] if len(found) == 1 else None


def _sizes(known: Sequence[int | None], total: int, inputs: int) -> tuple[int, ...]:
    """Lengths of all parts; empty if they can't be.

    Parts of unknown length share what is left. Where none is known, three parts are each as long
    as the input: with grouped keys and values they would not be equal.
    """
    n_open, rest = sum(size is None for size in known), total - sum(size or 0 for size in known)
    if not n_open:
        return tuple(size or 0 for size in known) if rest == 0 else ()
    if rest <= 0 or rest % n_open or (n_open == 3 and inputs and total != 3 * inputs):
        return ()
    return tuple(size or rest // n_open for size in known)


def _part(item: Item, at: int, packing: Packing) -> Item:
    part, shape = packing.parts[at], list(item.leaf.shape)
    if packing.is_stack:
        leaf = replace(item.leaf, shape=tuple(shape[1:]))
        return replace(item, part=part, owner=f"{item.owner}|{part}", leaf=leaf, packing=packing)
    shape[packing.axis] = packing.sizes[at]
    family = "conv" if item.leaf.family == "conv" else "linear"
    axes = ("oi", "io")[packing.axis] if len(shape) == 2 else "same"
    return replace(
        item,
        part=part,
        owner=f"{item.owner}|{part}",
        raw=_instead(item.raw, part),
        tokens=_instead(item.tokens, part),
        leaf=replace(item.leaf, shape=tuple(shape), family=family, axes=axes),
        packing=packing,
    )


def _instead(tokens: Sequence[str], part: str) -> tuple[str, ...]:
    """The tokens with the part's in place of the packed tensor's: the last before its role."""
    at = next((i for i, token in enumerate(tokens) if token in _PACKED), None)
    if at is None:
        at = len(tokens) - 1
        at -= len(tokens) > 1 and is_standard_role(tokens[-1])
    return (*tokens[:at], token_of(part), *tokens[at + 1 :])
