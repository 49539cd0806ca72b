"""The things that matching works on: every tensor of a side, or one part of a packed one.

An `Item` holds all that rules ask about a tensor, computed once; `_packing` cuts packed ones.
Indexed containers whose indices differ are counted anew here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import final

from portalign.mapping._synonyms import canonical_all, is_standard_role, loose
from portalign.mapping.axes import Leaf, axes_of, dtype_kind, family_of
from portalign.records import Kind, ParameterInfo, Structure

# Constants that frameworks register beside the weights; nothing is lost when one side lacks them.
_HARMLESS_SLOTS = frozenset(("num_batches_tracked", "position_ids", "_dropout_state"))


@final
@dataclass(frozen=True, slots=True)
class Packing:
    """How one tensor holds several.

    Attributes:
        parts: their names in the order they lie ("q", "k", "v"); "0", "1", ... of stacked layers.
        axis: along which they lie.
        sizes: length of each along it.
        n_groups: as in `layouts.Packed`.
        is_stack: the axis only numbers the parts; their own shapes lack it.
    """

    parts: tuple[str, ...]
    axis: int
    sizes: tuple[int, ...]
    n_groups: int = 1
    is_stack: bool = False


@final
@dataclass(frozen=True, slots=True)
class Item:
    """One tensor of one side, or one part of a packed tensor.

    Attributes:
        name: full name of the tensor.
        part: which part of a packed tensor, else "".
        owner: module path, with the part for parts.
        root: name it is tied to, or its own.
        raw: canonical tokens as the name has them, the role last.
        tokens: canonical tokens with container indices counted anew where they had to be.
        packing: how the tensor packs this part; None where it is no part.
        is_promised: its absence on the other side is an error.
        is_persistent: part of the state dict.
    """

    name: str
    part: str
    owner: str
    root: str
    raw: tuple[str, ...]
    tokens: tuple[str, ...]
    leaf: Leaf
    is_promised: bool
    is_persistent: bool
    packing: Packing | None = None

    @property
    def role(self) -> str:
        """Canonical role ("weight", "running_mean")."""
        return self.tokens[-1]

    @property
    def loose(self) -> tuple[str, ...]:
        """Tokens without scaffolding."""
        return loose(self.tokens)

    @property
    def unit(self) -> str:
        """What structure matches as one: the module, or the tensor itself for a raw parameter."""
        return self.owner if is_standard_role(self.role) else f"{self.owner}:{self.role}"

    def __str__(self) -> str:
        return f"{self.name} (part {self.part})" if self.part else self.name

    @property
    def key(self) -> str:
        """How a rename spells it: "attn.qkv.weight:q" is a part."""
        return f"{self.name}:{self.part}" if self.part else self.name


def is_harmless(info: ParameterInfo) -> bool:
    """A tensor no other side needs: a counter, a constant, a buffer outside the state dict."""
    return info.slot in _HARMLESS_SLOTS or (info.kind is Kind.BUFFER and not info.persistent)


def items_of(structure: Structure) -> list[Item]:
    """All tensors of a side as items, in registration order."""
    tokens = canonical_all(info.name for info in structure.state)
    return [_item(structure.framework, info, tokens[info.name]) for info in structure.state]


def _item(framework: str, info: ParameterInfo, tokens: tuple[str, ...]) -> Item:
    leaf = Leaf(
        shape=tuple(info.shape),
        family=family_of(framework, info.module_type),
        axes=axes_of(framework, info.module_type, tokens[-1]),
        owner=f"{framework} {info.module_type}".strip(),
        dtype_kind=dtype_kind(info.dtype),
    )
    return Item(
        name=info.name,
        part="",
        owner=info.module,
        root=info.tied_to or info.name,
        raw=tokens,
        tokens=tokens,
        leaf=leaf,
        is_promised=not is_harmless(info),
        is_persistent=info.persistent,
    )


def count_anew(
    reference: Sequence[Item], candidate: Sequence[Item]
) -> tuple[list[Item], list[Item]]:
    """Number the children of indexed containers by rank where the two sides' indices differ.

    ``net.0, net.2`` and ``net.0, net.3`` name the same two children of a Sequential that has one
    more dropout on one side. Done only where both sides have equally many children with parameters;
    the names' own indices would pair the wrong ones.
    """
    sides = [list(reference), list(candidate)]
    depth = max((len(item.tokens) for side in sides for item in side), default=0)
    for at in range(depth):
        children = [_children(side, at) for side in sides]
        for prefix in children[0].keys() & children[1].keys():
            first, second = children[0][prefix], children[1][prefix]
            if first != second and len(first) == len(second):
                sides = [
                    [_ranked(item, at, prefix, ours) for item in side]
                    for side, ours in zip(sides, (first, second), strict=True)
                ]
    return sides[0], sides[1]


def _children(items: Iterable[Item], at: int) -> dict[tuple[str, ...], list[int]]:
    found: dict[tuple[str, ...], set[int]] = defaultdict(set)
    for item in items:
        if item.is_promised and len(item.tokens) > at + 1 and item.tokens[at].isdigit():
            found[loose((*item.tokens[:at], ""))].add(int(item.tokens[at]))
    return {prefix: sorted(indices) for prefix, indices in found.items()}


def _ranked(item: Item, at: int, prefix: tuple[str, ...], indices: list[int]) -> Item:
    tokens = item.tokens
    if len(tokens) <= at + 1 or not tokens[at].isdigit():
        return item
    if loose((*tokens[:at], "")) != prefix or int(tokens[at]) not in indices:
        return item
    rank = str(indices.index(int(tokens[at])))
    return replace(item, tokens=(*tokens[:at], rank, *tokens[at + 1 :]))
