"""Inputs and outputs of modules that are known to be the same, where the shapes lie differently.

A recurrent layer may take [time, batch, width] on one side and [batch, time, width] on the other, a
linear layer all rows in one. Equal values tell how an input lies, and its output lies likewise.
"""

from __future__ import annotations

from collections.abc import Sequence

from portalign.mapping._content import relayout_between, values_of
from portalign.mapping._relayouts import Relayout, relayouts
from portalign.mapping._slots import ActivationPairs, Doubt
from portalign.mapping.pairing import Pair, Records, label_of
from portalign.records import Role

_Call = tuple[str, int, int]  # of the reference: path, call, iteration


def settle(doubts: Sequence[Doubt], twins: tuple[Records, Records], found: ActivationPairs) -> None:
    """Pair what the values, or the input's layout, show to lie otherwise; leave the rest alone.

    Args:
        doubts: in the order in which they were captured: inputs before outputs.
        twins: all records of both sides by key.
        found: gathers pairs and what stays alone.
    """
    inputs: dict[_Call, Relayout] = {}
    for doubt in doubts:
        key = doubt.reference.key
        place = key.path, key.call, key.iteration
        way, why = _by_values(doubt, twins), "laid out as its values show"
        if way is not None and key.slot == "in.0":
            inputs[place] = way
        if way is None and key.slot.startswith("out."):
            way, why = _like_the_input(doubt, inputs.get(place)), "laid out like its input"
        if way is None:
            found.alone(Role.REFERENCE, [doubt.reference], doubt.reason)
            found.alone(Role.CANDIDATE, [doubt.candidate], doubt.reason)
            continue
        layout, label = way.layout(), label_of(doubt.reference)
        how = f"{doubt.how}; {why}: {layout}"
        found.pairs.append(Pair(doubt.reference, doubt.candidate, layout, how, label))


def _by_values(doubt: Doubt, twins: tuple[Records, Records]) -> Relayout | None:
    ours = values_of(doubt.reference, twins[0])
    theirs = values_of(doubt.candidate, twins[1])
    return relayout_between(ours, theirs) if ours and theirs else None


def _like_the_input(doubt: Doubt, of_input: Relayout | None) -> Relayout | None:
    """The way in which all axes but the last lie as the input's do; None if that isn't certain."""
    if of_input is None:
        return None
    shapes = doubt.reference.array.shape, doubt.candidate.array.shape
    found = [way for way in relayouts(*shapes) if _rows(way) == _rows(of_input)]
    return found[0] if len(found) == 1 and _rows(of_input) else None


def _rows(way: Relayout) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """How the axes before the last lie; None where the last doesn't stay the last."""
    last = len(way.atoms) - 1
    return (way.atoms[:last], way.order[:last]) if way.order[-1:] == (last,) else None
