"""Inputs that differ without any effect: a mask of another constant, positions counted another way.

What a module gets may look different on the two sides and mean the same. Proof is that every module
that takes the very tensor returns the right outputs all the same: then the difference does not
propagate, and is no fault. One such module proves nothing: it may look at the shape only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from portalign.compare.places import fails, is_input
from portalign.mapping.pair import Pair
from portalign.records import Kind, TensorRecord
from portalign.results import Comparison, Outcome, Verdict

_Call = tuple[str, int, int]  # path, call, iteration


def harmless_inputs(pairs: Sequence[Pair], comparisons: Sequence[Comparison]) -> frozenset[int]:
    """Reference tensors that differ as an input, and every call that takes them returns right.

    At least one call has to. One that returns wrong says nothing about a tensor where another of
    its inputs is wrong too and follows from a wrong output before it: that one is cause enough.

    Args:
        pairs: all pairs.
        comparisons: theirs, in the same order.

    Returns:
        Orders of the reference's records that hold those tensors.
    """
    outputs: dict[_Call, list[Comparison]] = defaultdict(list)
    taken: dict[_Call, set[int]] = defaultdict(set)
    first_wrong: dict[int, int] = {}  # iteration -> order of the first output that fails
    for pair, one in zip(pairs, comparisons, strict=True):
        call = (one.key.path, one.key.call, one.key.iteration)
        if one.key.kind is not Kind.ACTIVATION:
            continue
        if not is_input(one):
            outputs[call].append(one)
            if fails(one):
                order = pair.reference.order
                first_wrong[call[2]] = min(order, first_wrong.get(call[2], order))
        elif fails(one):
            taken[call].add(_root(pair.reference))
    right: set[int] = set()
    wrong: set[int] = set()
    for call, roots in taken.items():
        if not outputs[call]:
            continue
        if all(each.outcome is Outcome.PASS for each in outputs[call]):
            right |= roots
            continue
        wrong |= _suspects(roots, first_wrong.get(call[2]))
    return frozenset(right - wrong)


def forgive(
    pairs: Sequence[Pair], comparisons: Sequence[Comparison], roots: frozenset[int]
) -> tuple[Comparison, ...]:
    """The comparisons, with the differing inputs of those tensors passed, and the reason why."""
    return tuple(
        _forgiven(one) if _is_forgiven(pair, one, roots) else one
        for pair, one in zip(pairs, comparisons, strict=True)
    )


def _suspects(roots: set[int], first_wrong: int | None) -> set[int]:
    """Which of a call's wrong inputs its wrong output speaks against."""
    inherited = {root for root in roots if first_wrong is not None and root >= first_wrong}
    return {root for root in roots if not inherited - {root}}


def _is_forgiven(pair: Pair, one: Comparison, roots: frozenset[int]) -> bool:
    is_inner = one.key.kind is Kind.ACTIVATION and is_input(one)
    return is_inner and fails(one) and _root(pair.reference) in roots


def _forgiven(one: Comparison) -> Comparison:
    reason = f"Harmless: every module that takes it returns the same. {one.reason}"
    return replace(one, verdict=Verdict.CLOSE, outcome=Outcome.PASS, reason=reason)


def _root(record: TensorRecord) -> int:
    return record.order if record.alias_of is None else record.alias_of
