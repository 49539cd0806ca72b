"""Which output of the candidate is which of the reference's: by name, else by position."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from portalign.records import Kind, Role, TensorKey, TensorRecord
from portalign.results import Unpaired

OutputPairs = list[tuple[TensorRecord, TensorRecord, str]]


def pair_outputs(
    reference: Sequence[TensorRecord],
    candidate: Sequence[TensorRecord],
    *,
    promised: Sequence[str] = (),
) -> tuple[OutputPairs, list[Unpaired]]:
    """Pair the records of outputs, iteration by iteration.

    Args:
        promised: names of outputs ("hidden_states" stands for "hidden_states.0" and so on); empty:
            all of them.
    """
    pairs: OutputPairs = []
    unpaired: list[Unpaired] = []
    left, right = _by_iteration(reference), _by_iteration(candidate)
    for iteration in sorted({*left, *right} | ({0} if promised else set())):
        ours, theirs = left.get(iteration, []), right.get(iteration, [])
        found = _pair(ours, theirs, promised)
        pairs += found
        used = {id(record) for a, b, _ in found for record in (a, b)}
        for role, records in zip(Role, (ours, theirs), strict=True):
            unpaired += [
                Unpaired(
                    role.value,
                    r.key,
                    "the other side returns no such output",
                    _is_promised(r, promised),
                )
                for r in records
                if id(r) not in used
            ]
            if records or iteration == 0:
                unpaired += _absent(role, ours, theirs, promised, iteration)
    return pairs, unpaired


def _by_iteration(records: Sequence[TensorRecord]) -> dict[int, list[TensorRecord]]:
    found: dict[int, list[TensorRecord]] = defaultdict(list)
    for record in records:
        found[record.key.iteration].append(record)
    return found


def _pair(
    ours: Sequence[TensorRecord], theirs: Sequence[TensorRecord], promised: Sequence[str]
) -> OutputPairs:
    by_name = {record.key.name: record for record in theirs}
    pairs = [(r, by_name[r.key.name], "same name") for r in ours if r.key.name in by_name]
    names = {r.key.name for r, _, _ in pairs}
    left = [r for r in ours if r.key.name not in names]
    right = [r for r in theirs if r.key.name not in names]
    if _is_positional(left) != _is_positional(right) and not pairs:
        if len(left) != len(right):  # one side may name more than was promised
            left = left if _is_positional(left) else [r for r in left if _is_promised(r, promised)]
            right = (
                right if _is_positional(right) else [r for r in right if _is_promised(r, promised)]
            )
        if len(left) == len(right):
            pairs += [(a, b, "position") for a, b in zip(left, right, strict=True)]
    return pairs


def _is_positional(records: Sequence[TensorRecord]) -> bool:
    return all(
        record.key.name.replace(".", "").isdigit() or not record.key.name for record in records
    )


def _is_promised(record: TensorRecord, promised: Sequence[str]) -> bool:
    name = record.key.name
    return not promised or any(name == p or name.startswith(f"{p}.") for p in promised)


def _absent(
    role: Role,
    ours: Sequence[TensorRecord],
    theirs: Sequence[TensorRecord],
    promised: Sequence[str],
    iteration: int,
) -> list[Unpaired]:
    """Promised outputs that neither side returned."""
    both = (*ours, *theirs)
    return [
        Unpaired(
            role.value,
            TensorKey(Kind.OUTPUT, name, iteration=iteration),
            "promised, but neither side returned it",
            is_promised=True,
        )
        for name in promised
        if both and not any(_is_promised(record, [name]) for record in both)
    ]
