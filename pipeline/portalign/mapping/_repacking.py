"""The layout between tensors of which some pack others, and between what their modules return.

Both follow from which part of which tensor was matched with which: all pieces are laid out alone,
brought to the candidate's axes, and packed as the candidate packs them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from portalign.mapping._items import Item, Packing
from portalign.mapping.layouts import Layout, Move, Packed, Repack, Reshape
from portalign.records import Role


@final
@dataclass(frozen=True, slots=True)
class Repacked:
    """What lies between the tensors of one carry.

    Attributes:
        layout: from the reference's tensors to the candidate's.
        outputs: from the outputs of the modules that hold the reference's to those of the
            candidate's; None where both pack alike, and for stacked layers.
        told: one clause that says who packs what.
    """

    layout: Layout
    outputs: Repack | None
    told: str


def repacked(reference: Sequence[Item], candidate: Sequence[Item], inner: Layout) -> Repacked:
    """Find the layout between tensors and what packs them, or between two ways of packing.

    Args:
        reference: one item per piece, with all parts of every packed tensor.
        candidate: their counterparts, in the same order.
        inner: what lies between one piece and its counterpart.
    """
    holders = _holders(reference), _holders(candidate)
    told = " and ".join(
        f"the {role.value} {_told(packing)}"
        for role, items in zip(Role, (reference, candidate), strict=True)
        if (packing := _packing(items))
    )
    if holders[0] == holders[1]:
        return Repacked(inner, None, f"{told}, alike")
    lead, tail = _apart(reference, holders[0]), _apart(candidate, holders[1])
    back = tuple(move.inverse() for move in reversed(lead))
    layout = Layout((*back, *inner.moves, *tail))
    packer = reference if _packing(reference) else candidate
    packing = _packing(packer)
    if packing is None or packing.is_stack:
        return Repacked(layout, None, told)
    axis = 1 if packer[0].leaf.family == "conv" else -1
    outputs = Repack(axis, _sizes(packer, packing), *holders)
    return Repacked(layout, outputs, told)


def _packing(items: Sequence[Item]) -> Packing | None:
    return next((item.packing for item in items if item.packing), None)


def _holders(items: Sequence[Item]) -> tuple[Packed, ...]:
    """Which pieces, by number, each tensor of a side holds."""
    held: dict[str, list[tuple[int, int]]] = defaultdict(list)
    n_groups: dict[str, int] = {}
    for number, item in enumerate(items):
        at = item.packing.parts.index(item.part) if item.packing else 0
        held[item.root].append((at, number))
        n_groups[item.root] = item.packing.n_groups if item.packing else 1
    return tuple(
        Packed(tuple(number for _, number in sorted(places)), n_groups[name])
        for name, places in held.items()
    )


def _sizes(items: Sequence[Item], packing: Packing) -> tuple[int, ...]:
    """Length of every piece along the axis that this side is packed along."""
    found = []
    for item in items:
        at = item.packing.parts.index(item.part) if item.packing else 0
        found.append(item.packing.sizes[at] if item.packing else item.leaf.shape[packing.axis])
    return tuple(found)


def _apart(items: Sequence[Item], holders: tuple[Packed, ...]) -> tuple[Move, ...]:
    """Moves from a side's pieces, each alone, to its tensors."""
    packing = _packing(items)
    if packing is None:
        return ()
    alone = tuple(Packed((number,)) for number in range(len(items)))
    join = Repack(packing.axis, _sizes(items, packing), alone, holders)
    if not packing.is_stack:
        return (join,)
    shape = items[0].leaf.shape
    return (Reshape(shape, (1, *shape)), join)


def _told(packing: Packing) -> str:
    if packing.is_stack:
        return f"stacks {len(packing.parts)} of them along axis 0"
    *most, last = packing.parts
    groups = f", a share of each in turn for {packing.n_groups} groups"
    order = f"packs {', '.join(most)} and {last} in this order"
    return order + (groups if packing.n_groups > 1 else "")
