"""Inputs that differ without any effect: a mask of another constant, positions counted another way.

What a module gets may look different on the two sides and mean the same. Proof is a module that
takes the very tensor and returns the right outputs all the same: then the difference does not
propagate, and is no fault.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from portalign.compare.places import fails, is_input
from portalign.mapping.pair import Pair
from portalign.records import Kind, TensorRecord
from portalign.results import Comparison, Outcome, Verdict


def harmless_inputs(pairs: Sequence[Pair], comparisons: Sequence[Comparison]) -> frozenset[int]:
    """Reference tensors that differ as an input of a call whose every compared output passes.

    Args:
        pairs: all pairs.
        comparisons: theirs, in the same order.

    Returns:
        Orders of the reference's records that hold those tensors.
    """
    outputs: dict[tuple[str, int, int], list[Comparison]] = defaultdict(list)
    for one in comparisons:
        if one.key.kind is Kind.ACTIVATION and not is_input(one):
            outputs[one.key.path, one.key.call, one.key.iteration].append(one)
    found = set()
    for pair, one in zip(pairs, comparisons, strict=True):
        if one.key.kind is Kind.ACTIVATION and is_input(one) and fails(one):
            returned = outputs[one.key.path, one.key.call, one.key.iteration]
            if returned and all(each.outcome is Outcome.PASS for each in returned):
                found.add(_root(pair.reference))
    return frozenset(found)


def forgive(
    pairs: Sequence[Pair], comparisons: Sequence[Comparison], roots: frozenset[int]
) -> tuple[Comparison, ...]:
    """The comparisons, with the differing inputs of those tensors passed, and the reason why."""
    return tuple(
        _forgiven(one) if _is_forgiven(pair, one, roots) else one
        for pair, one in zip(pairs, comparisons, strict=True)
    )


def _is_forgiven(pair: Pair, one: Comparison, roots: frozenset[int]) -> bool:
    is_inner = one.key.kind is Kind.ACTIVATION and is_input(one)
    return is_inner and fails(one) and _root(pair.reference) in roots


def _forgiven(one: Comparison) -> Comparison:
    reason = f"Harmless: a module that takes it returns the same. {one.reason}"
    return replace(one, verdict=Verdict.CLOSE, outcome=Outcome.PASS, reason=reason)


def _root(record: TensorRecord) -> int:
    return record.order if record.alias_of is None else record.alias_of
