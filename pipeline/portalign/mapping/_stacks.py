"""Parameters that hold one slice per layer where the other side has layers of their own.

A stack is told by its leading axis, which is as long as there are layers, and by its name; as
everywhere, two that fit alike are left to the port file. Slice i is layer i: an index is no guess.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from portalign.mapping._items import Item, Packing
from portalign.mapping._packing import cut
from portalign.mapping._synonyms import canonical_all, contradict, is_standard_role, words

Fits = Callable[[Item, Item], bool]
_SCAFFOLD = frozenset(("layer", "layers", "block", "blocks", "h", "stack", "expert", "experts"))


@final
@dataclass(frozen=True, slots=True)
class Layers:
    """One tensor of every layer of one side, in the order of the layers."""

    stem: tuple[str, ...]
    items: tuple[Item, ...]


def match_stacks(
    layered: Sequence[Item], others: Sequence[Item], *, fits: Fits, needs_name: bool
) -> list[tuple[Layers, list[Item], str]]:
    """Layers of one side, the slices of the other that they are, and the reason.

    Args:
        layered: open items of the side with layers.
        others: open items of the side with stacks.
        fits: whether an item of a layer and a slice agree under some layout.
        needs_name: only where the names share a word.
    """
    every = rivals_of_stacks(layered, others, fits=fits)
    scores = {
        (stack.name, layers.stem): len(_words(layers.stem) & _words(_named(stack)))
        for stack, found in every
        for layers in found
    }
    found = []
    for stack, groups in every:
        best = [g for g in groups if _is_best(scores, stack.name, g.stem)]
        score = scores[stack.name, best[0].stem] if best else 0
        if best and (score > 0 or not needs_name):
            stem = ".".join(best[0].stem)
            how = "by name" if score else "as the only one that fits"
            why = f"{stack.name} holds a slice of {stem} for every *, {how}"
            found.append((best[0], slices(stack), why))
    return found


def rivals_of_stacks(
    layered: Sequence[Item], others: Sequence[Item], *, fits: Fits
) -> list[tuple[Item, list[Layers]]]:
    """Every item that could be a stack, with all groups of layers it could hold."""
    groups = _layers(layered)
    found = []
    for stack in others:
        if stack.part or stack.leaf.family or len(stack.leaf.shape) < 2 or not stack.is_promised:
            continue
        fitting = [g for g in groups if _is_stack_of(stack, g, fits)]
        if fitting:
            found.append((stack, fitting))
    return found


def slices(stack: Item) -> list[Item]:
    """The slices of a stack along axis 0, as parts "0", "1", ..."""
    n_layers = stack.leaf.shape[0]
    parts = tuple(map(str, range(n_layers)))
    return cut(stack, Packing(parts, 0, (1,) * n_layers, is_stack=True))


def _layers(items: Sequence[Item]) -> list[Layers]:
    """Items that differ in one index, which runs from 0 without a gap."""
    stems: dict[tuple[str, ...], dict[int, Item]] = defaultdict(dict)
    for item in items:
        if item.part or item.root != item.name or not item.is_promised:
            continue
        for at, token in enumerate(item.tokens):
            if token.isdigit():
                stem = (*item.tokens[:at], "*", *item.tokens[at + 1 :])
                stems[stem][int(token)] = item
    return [
        Layers(stem, tuple(found[i] for i in range(len(found))))
        for stem, found in stems.items()
        if len(found) > 1 and set(found) == set(range(len(found)))
    ]


def _is_stack_of(stack: Item, layers: Layers, fits: Fits) -> bool:
    first = layers.items[0]
    if stack.leaf.shape[0] != len(layers.items):
        return False
    if any(item.leaf != first.leaf for item in layers.items):
        return False
    role = _named(stack)[-1]
    is_same_role = not is_standard_role(role) or role == first.role
    return (
        is_same_role
        and not contradict(_named(stack), layers.stem)
        and fits(first, slices(stack)[0])
    )


def _named(stack: Item) -> tuple[str, ...]:
    """Canonical tokens of a stack's name; ``fc1_weight`` is read as ``fc1.weight``."""
    head, underscore, role = stack.name.rpartition("_")
    if underscore and is_standard_role(canonical_all([f"x.{role}"])[f"x.{role}"][-1]):
        name = f"{head}.{role}"
        return canonical_all([name])[name]
    return stack.tokens


def _words(tokens: Sequence[str]) -> frozenset[str]:
    role = tokens[-1:] if is_standard_role(tokens[-1]) else ()
    return words(tokens[: len(tokens) - len(role)]) - _SCAFFOLD - {"*"}


def _is_best(
    scores: dict[tuple[str, tuple[str, ...]], int], stack: str, stem: tuple[str, ...]
) -> bool:
    """Whether a stack and a group of layers are each other's only best."""
    own = scores[stack, stem]
    rivals = [score for (a, b), score in scores.items() if (a == stack) != (b == stem)]
    return all(score < own for score in rivals)
