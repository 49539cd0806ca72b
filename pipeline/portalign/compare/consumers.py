"""Which modules take which tensor, read off a trace: the data flow as far as it is recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from portalign.records import Kind, Precision, TensorKey, Trace


def roots_of(trace: Trace) -> dict[TensorKey, int]:
    """Native key -> order of the record that holds the tensor: equal for modules that share one."""
    return {
        record.key: record.order if record.alias_of is None else record.alias_of
        for record in trace.records
        if record.key.precision is Precision.NATIVE
    }


def given_out(trace: Trace) -> frozenset[tuple[str, str, int]]:
    """(path, slot, call) of every output that is the very tensor the model returns."""
    roots = {
        key: root
        for key, root in roots_of(trace).items()
        if key.kind is Kind.ACTIVATION and key.slot.startswith("out.")
    }
    returned = {root for key, root in roots.items() if not key.path}
    return frozenset((k.path, k.slot, k.call) for k, root in roots.items() if root in returned)


def consumers_of(trace: Trace) -> dict[tuple[str, str, int], tuple[str, ...]]:
    """(path, slot, call) of an output -> paths of the modules that take that very tensor."""
    roots = roots_of(trace)
    takers: dict[int, list[str]] = {}
    for key, root in roots.items():
        if key.kind is Kind.ACTIVATION and key.slot.startswith("in."):
            takers.setdefault(root, []).append(key.path)
    return {
        (key.path, key.slot, key.call): tuple(dict.fromkeys(takers.get(root, ())))
        for key, root in roots.items()
        if key.kind is Kind.ACTIVATION and key.slot.startswith("out.")
    }


def glue_consumers(
    trace: Trace, consumers: Mapping[tuple[str, str, int], Sequence[str]], *, compared: set[str]
) -> dict[tuple[str, str, int], tuple[str, ...]]:
    """Like `_consumers`, of the modules that an output reaches through code between modules.

    Which those are is not recorded. Taken for one: the next module that is fed by glue, where no
    module takes the output itself; else (a residual) any later one beside a module that takes it.
    A module that the other side doesn't have is glue there, so what it feeds counts too.
    """
    fed_by: dict[str, set[str]] = {}
    for (path, _, _), takers in consumers.items():
        fed_by.setdefault(path, set()).update(takers)
    roots = roots_of(trace)
    made = {
        root for key, root in roots.items() if key.slot.startswith("out.") and key.path in compared
    }
    fed = [
        (order, key.path)
        for order, (key, root) in enumerate(roots.items())
        if key.kind is Kind.ACTIVATION
        and key.slot.startswith("in.")
        and root not in made
        and key.path in compared
    ]
    found = {}
    for order, key in enumerate(roots):
        place = (key.path, key.slot, key.call)
        if key.kind is not Kind.ACTIVATION or place not in consumers:
            continue
        later = [path for at, path in fed if at > order]
        beside = {path.rpartition(".")[0] for path in consumers[place]}
        if beside:
            later = [path for path in later if path.rpartition(".")[0] in beside]
        else:
            later = later[:1]
        only_here = [path for path in consumers[place] if path not in compared]
        found[place] = (*later, *(each for path in only_here for each in fed_by.get(path, ())))
    return found
