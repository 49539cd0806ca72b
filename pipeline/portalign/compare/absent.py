"""Gradients that the reference has and the candidate lacks: something is cut off, frozen or
detached there.

A gradient that never arrives can't be compared, and everything before the cut lacks one too: only
the last place in execution order is where it was cut.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

import numpy as np

from portalign.findings import Origin, OriginKind
from portalign.mapping.pair import Pair, Pairing
from portalign.records import Kind, Role, TensorKey


def absent_gradients(
    pairing: Pairing,
    consumers: Mapping[tuple[str, str, int], Sequence[str]],
    *,
    grafted: Container[TensorKey],
) -> dict[str, Origin]:
    """Module path -> the place where the candidate's gradients end, in iteration 0.

    Args:
        pairing: of the ordinary captures.
        consumers: (path, slot, call) of an output -> paths of the modules that take it.
        grafted: the reference's keys of what arrived in the grafted pass.
    """
    compared = {
        _place(p.reference.key): _place(p.candidate.key)
        for p in pairing.pairs
        if _is_activation(p.reference.key)
    }
    arrived = {
        _place(each.key)
        for each in pairing.unpaired
        if each.role == Role.CANDIDATE.value and each.key.kind is Kind.GRADIENT
    }
    states = {p.reference.key.name for p in pairing.pairs if p.reference.key.kind is Kind.PARAMETER}
    lacking = [
        each.key
        for each in pairing.unpaired
        if each.role == Role.REFERENCE.value
        and each.key.kind is Kind.GRADIENT
        and not each.key.iteration
    ]
    outputs = [
        key for key in lacking if _place(key) in compared and compared[_place(key)] not in arrived
    ]
    outputs += [p.reference.key for p in pairing.pairs if _is_filled_up(p, grafted)]
    cut = {key.path for key in outputs}
    found = {
        key.path: _origin(f"backward after {key.path}", key)
        for key in outputs
        if not cut.intersection(consumers.get(_place(key), ()))
    }
    frozen = [key for key in lacking if key.name in states and key.path not in cut]
    return found | {
        key.path: _origin(f"backward of {key.path}: grad {key.name}", key) for key in frozen
    }


def _is_filled_up(pair: Pair, grafted: Container[TensorKey]) -> bool:
    """Whether the candidate's gradient is zeros that nobody sent.

    Paddle gives them to an output that nobody uses, if another output of that kernel is used; put
    in a graft's place, that output gets nothing.
    """
    key = pair.reference.key
    is_inner = key.kind is Kind.GRADIENT and key.slot.startswith("out.") and not key.iteration
    if not is_inner or key in grafted or replace(key, kind=Kind.ACTIVATION) not in grafted:
        return False
    return bool(np.any(pair.reference.array)) and not np.any(pair.candidate.array)


def _origin(label: str, key: TensorKey) -> Origin:
    return Origin(label, OriginKind.BACKWARD, key.path, key.slot, key.call, after=key.path)


def _is_activation(key: TensorKey) -> bool:
    return key.kind is Kind.ACTIVATION and key.slot.startswith("out.")


def _place(key: TensorKey) -> tuple[str, str, int]:
    return key.path, key.slot, key.call
