"""The candidate's own batches against those that both sides were fed, field by field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from portalign.compare.chain import Link
from portalign.compare.pairs import as_data, compare
from portalign.findings import Part
from portalign.mapping.layouts import AS_IS
from portalign.mapping.pair import Pair
from portalign.records import Kind, Role, TensorKey, TensorRecord


def batch_links(ours: Sequence[TensorRecord], theirs: Sequence[TensorRecord]) -> Iterator[Link]:
    """Hold them to each other byte for byte; nothing where the candidate has none of its own.

    Args:
        ours: the batches that both sides were fed, numbered through.
        theirs: the candidate's own, by iteration and by call within it.
    """
    given = {(r.key.path, r.key.iteration): r for r in ours}
    n_given = len({iteration for _, iteration in given})
    n_calls = 1 + max((r.key.call for r in theirs), default=0)
    own = {(r.key.path, r.key.iteration, r.key.call): r for r in theirs}
    fields = sorted({path for path, _ in given} | {r.key.path for r in theirs})
    for iteration in sorted({r.key.iteration for r in theirs}):
        for call in range(n_calls):
            index = (iteration * n_calls + call) % max(1, n_given)
            for name in fields:
                key = TensorKey(Kind.INPUT, name, call=call, iteration=iteration)
                yield _batch(key, given.get((name, index)), own.get((name, iteration, call)))


def _batch(key: TensorKey, given: TensorRecord | None, own: TensorRecord | None) -> Link:
    label = f"batch {key.path} of iteration {key.iteration}, state-grafted"
    if given is None or own is None:
        side = Role.REFERENCE if own is None else Role.CANDIDATE
        text = f"field {key.path} is in the {side.value}'s batch only"
        return Link(Part.DATA, key.iteration, key.path, label, None, text)
    found = as_data(compare(given.array, own.array, key=key, label=label))
    both = Pair(replace(given, key=key), own, AS_IS, "same key", label)
    return Link(Part.DATA, key.iteration, key.path, label, found, pair=both)
