"""Pairs that nothing but their values told of: they show agreement, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from portalign.mapping.pair import Pair, Pairing
from portalign.mapping.pairing import BY_CONTENT
from portalign.records import Role
from portalign.results import Comparison, Outcome, Unpaired


def without_doubtful(
    pairing: Pairing, comparisons: Sequence[Comparison]
) -> tuple[Pairing, tuple[Comparison, ...]]:
    """Take back pairs by content that don't pass: two other points may be equal in float64 alone.

    A cast to a lower precision lies between such points, and its twin has none.

    Args:
        pairing: with its pairs in the order of `comparisons`.
    """
    everything = list(zip(pairing.pairs, comparisons, strict=True))
    kept = [both for both in everything if not _is_doubtful(*both)]
    back = [both for both in everything if _is_doubtful(*both)]
    reason = "equal to an unpaired tensor of the other side in float64, but not as it ran"
    alone = [
        Unpaired(role.value, record.key, reason, is_promised=False)
        for pair, _ in back
        for role, record in zip(Role, (pair.reference, pair.candidate), strict=True)
    ]
    pairs = tuple(pair for pair, _ in kept)
    unpaired = (*pairing.unpaired, *alone)
    return replace(pairing, pairs=pairs, unpaired=unpaired), tuple(one for _, one in kept)


def _is_doubtful(pair: Pair, one: Comparison) -> bool:
    return pair.how.startswith(BY_CONTENT) and one.outcome is not Outcome.PASS
