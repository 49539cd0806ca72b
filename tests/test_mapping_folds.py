"""A list of layers against one module that is called for each, and fused modules: the guards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from portalign.mapping.names import match_state
from portalign.mapping.pair import Pairing, pair
from portalign.records import (
    Kind,
    ModuleInfo,
    ParameterInfo,
    Role,
    Structure,
    TensorKey,
    TensorRecord,
)
from structures import floats, tensors, trace


def tree(
    *entries: tuple[str, tuple[int, ...]],
    ties: Sequence[tuple[str, str]] = (),
    module_type: str = "Linear",
) -> Structure:
    """These tensors, their modules listed; the first name of each tie is tied to the other."""
    found = tensors(*entries, module_type=module_type)
    shapes = dict(entries)
    tied = [
        ParameterInfo(
            name, name.rpartition(".")[0], "weight", module_type, shapes[to], "float32", tied_to=to
        )
        for name, to in ties
    ]
    state = (*found.state, *tied)
    paths = sorted({info.module for info in state})
    return replace(found, state=state, modules=tuple(ModuleInfo(p, module_type) for p in paths))


def output(path: str, call: int = 0, *, array: object = None) -> TensorRecord:
    values = floats(2, 4) if array is None else np.asarray(array)
    return TensorRecord(TensorKey(Kind.ACTIVATION, path, "out.0", call), 0, values, "float32")


def paired(
    reference: Structure,
    ours: Sequence[TensorRecord],
    candidate: Structure,
    theirs: Sequence[TensorRecord],
) -> Pairing:
    plan = match_state(reference, candidate)
    sides = trace(Role.REFERENCE, ours, reference), trace(Role.CANDIDATE, theirs, candidate)
    return pair(*sides, plan)


def places(pairing: Pairing) -> dict[str, tuple[str, int]]:
    return {p.label: (p.candidate.key.path, p.candidate.key.call) for p in pairing.pairs}


LIST = [(f"layers.{at}.fc.weight", (4, 6)) for at in range(3)]
SHARED = tree(LIST[0], ties=[(name, LIST[0][0]) for name, _ in LIST[1:]])
CALLED = [output("block.fc", call) for call in range(3)]


@pytest.mark.parametrize(
    ("reference", "candidate"),
    [
        (tree(*LIST), tree(("block.fc.weight", (3, 4, 6)), module_type="Stack")),
        (SHARED, tree(("block.fc.weight", (4, 6)))),
    ],
    ids=["slices", "shared"],
)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_layers_are_the_calls_of_one_module_in_the_order_in_which_they_ran(
    reference: Structure, candidate: Structure, order: tuple[int, ...]
) -> None:
    found = paired(reference, [output(f"layers.{i}.fc") for i in order], candidate, CALLED)

    assert places(found) == {
        f"layers.{layer}.fc out.0": ("block.fc", call) for call, layer in enumerate(order)
    }


def test_layers_that_ran_more_or_less_often_stay_alone_with_the_reason() -> None:
    ran = [output(f"layers.{at}.fc") for at in (0, 1)]

    found = paired(SHARED, ran, tree(("block.fc.weight", (4, 6))), CALLED)

    assert not found.pairs
    reasons = {u.reason for u in found.unpaired}
    assert reasons == {"called 2 times by the reference, 3 by the candidate"}


def test_layers_that_share_some_weights_only_are_no_calls_of_one_module() -> None:
    """As in ALBERT with norms of their own: which norm a call used is not known."""
    own = [(f"layers.{at}.norm.weight", (4,)) for at in range(3)]
    ties = [(name, LIST[0][0]) for name, _ in LIST[1:]]
    reference = tree(LIST[0], *own, ties=ties)
    candidate = tree(("block.fc.weight", (4, 6)), *own)

    found = paired(reference, [output(f"layers.{at}.fc") for at in range(3)], candidate, CALLED)

    assert places(found) == {}


Q, K, V = (("q.weight", (4, 4)), ("k.weight", (4, 4)), ("v.weight", (4, 4)))


@pytest.mark.parametrize(
    ("width", "n_calls", "is_paired"),
    [(12, 1, True), (4, 1, False), (12, 2, False)],
    ids=["all parts", "another width", "called twice"],
)
def test_a_fused_module_is_compared_part_by_part_where_it_returns_all_parts(
    width: int, n_calls: int, is_paired: bool
) -> None:
    apart = [output(f"{name}") for name in "qkv"]
    fused = [output("qkv", call, array=floats(2, width)) for call in range(n_calls)]

    found = paired(tree(Q, K, V), apart, tree(("qkv.weight", (12, 4))), fused)

    assert list(places(found)) == ([f"{name} out.0" for name in "qkv"] if is_paired else [])
    for at, each in enumerate(found.pairs):
        assert np.array_equal(each.candidate_values(), fused[0].array[:, 4 * at : 4 * at + 4])


def test_a_fused_module_of_the_reference_is_compared_as_a_whole() -> None:
    fused, apart = output("qkv", array=floats(2, 12)), [output(name) for name in "qkv"]

    found = paired(tree(("qkv.weight", (12, 4))), [fused], tree(Q, K, V), apart)

    (one,) = found.pairs
    assert one.label == "qkv out.0"
    assert np.array_equal(one.candidate_values(), np.concatenate([r.array for r in apart], -1))
    assert not found.unpaired
