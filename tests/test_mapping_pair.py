"""Pairing two traces record by record: what stands for what, and what is left over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from portalign.mapping.names import match_state
from portalign.mapping.pair import Pairing, pair
from portalign.mapping.weights import WeightPlan
from portalign.records import Kind, Precision, Role, TensorRecord
from structures import floats, record, tensors, trace

NOTHING = WeightPlan(())


def both(reference: list[TensorRecord], candidate: list[TensorRecord], **options: Any) -> Pairing:
    sides = trace(Role.REFERENCE, reference), trace(Role.CANDIDATE, candidate)
    return pair(*sides, NOTHING, **options)


@pytest.mark.parametrize(
    ("reference", "candidate", "paired"),
    [
        (["in.0"], ["in.x"], {"in.0": "in.x"}),
        (["in.0", "in.mask"], ["in.0", "in.mask"], {"in.0": "in.0", "in.mask": "in.mask"}),
        (["in.0", "in.mask"], ["in.0", "in.bias"], {"in.0": "in.0"}),
        (["out.logits"], ["out.0"], {"out.logits": "out.0"}),
        (["out.a", "out.b"], ["out.0", "out.1"], {}),
        (["out.0"], ["out.0", "out.1"], {}),
    ],
    ids=["one-input", "by-name", "other-name", "one-output", "names-or-numbers", "first-or-last"],
)
def test_slots_are_paired_by_name_and_a_lone_position_with_a_lone_name(
    reference: list[str], candidate: list[str], paired: dict[str, str]
) -> None:
    pairing = both(
        [record(Kind.ACTIVATION, "", slot) for slot in reference],
        [record(Kind.ACTIVATION, "", slot) for slot in candidate],
    )

    assert {p.reference.key.slot: p.candidate.key.slot for p in pairing.pairs} == paired


@pytest.mark.parametrize(
    ("reference", "candidate", "promised", "paired"),
    [
        (["logits", "loss"], ["loss", "logits"], (), {"logits": "logits", "loss": "loss"}),
        (["logits", "pooled"], ["0", "1"], (), {"logits": "0", "pooled": "1"}),
        (["logits", "pooled"], [""], ("logits",), {"logits": ""}),
        (["logits", "pooled"], [""], (), {}),
        (["a", "b"], ["b", "c"], (), {"b": "b"}),
    ],
    ids=["name", "position", "promised-only", "too-few", "no-guess"],
)
def test_outputs_are_paired_by_name_then_by_position(
    reference: list[str], candidate: list[str], promised: tuple[str, ...], paired: dict[str, str]
) -> None:
    pairing = both(
        [record(Kind.OUTPUT, name) for name in reference],
        [record(Kind.OUTPUT, name) for name in candidate],
        outputs=promised,
    )

    assert {p.reference.key.path: p.candidate.key.path for p in pairing.pairs} == paired


def test_a_promised_output_that_nobody_returns_is_missed_on_both_sides() -> None:
    one = [record(Kind.OUTPUT, "logits")]

    pairing = both(one, one, outputs=("logits", "hidden_states"))

    assert [(u.role, u.key.path, u.is_promised) for u in pairing.unpaired] == [
        (role, "hidden_states", True) for role in Role
    ]


@pytest.mark.parametrize(
    ("kind", "is_promised"),
    [
        (Kind.LOSS, True),
        (Kind.LR, True),
        (Kind.METRIC, True),
        (Kind.PREDICTION, True),
        (Kind.INPUT, True),
        (Kind.OUTPUT, True),
        (Kind.ACTIVATION, False),
        (Kind.OPTIMIZER_STATE, False),
    ],
)
def test_what_stands_on_one_side_only_is_listed_with_its_weight(
    kind: Kind, is_promised: bool
) -> None:
    pairing = both([record(kind, "a"), record(kind, "b")], [record(kind, "a")])

    assert [(u.role, u.key.path, u.is_promised) for u in pairing.unpaired][-1] == (
        Role.REFERENCE,
        "b",
        is_promised,
    )


def test_records_of_equal_key_are_paired_iteration_by_iteration() -> None:
    pairing = both(
        [record(Kind.LOSS, "loss", iteration=k) for k in (0, 1)],
        [record(Kind.LOSS, "loss", iteration=k) for k in (1, 2)],
    )

    assert [p.label for p in pairing.pairs] == ["loss loss iteration 1"]
    assert {(u.role, u.key.iteration) for u in pairing.unpaired} == {
        (Role.REFERENCE, 0),
        (Role.CANDIDATE, 2),
    }


def test_parameters_and_gradients_follow_the_plan_and_its_layout() -> None:
    tree = tensors(("fc.weight", (2, 3)))
    other = tensors(("dense.weight", (3, 2)), framework="paddle")
    value = floats(2, 3)
    kinds = (Kind.PARAMETER, Kind.GRADIENT)
    left = [record(k, "fc", "weight", array=value, iteration=i) for k in kinds for i in (0, 1)]
    right = [
        record(k, "dense", "weight", array=value.T, iteration=i) for k in kinds for i in (0, 1)
    ]

    pairing = pair(
        trace(Role.REFERENCE, left, tree),
        trace(Role.CANDIDATE, right, other),
        match_state(tree, other),
    )

    assert [p.label for p in pairing.pairs] == [
        "fc.weight",
        "fc.weight iteration 1",
        "grad fc.weight",
        "grad fc.weight iteration 1",
    ]
    assert all(np.array_equal(p.candidate_values(), value) for p in pairing.pairs)
    assert not pairing.unpaired


def test_a_gradient_that_only_one_side_has_is_missed() -> None:
    tree = tensors(("fc.weight", (2, 3)))
    left = [record(Kind.GRADIENT, "fc", "weight", array=floats(2, 3))]

    pairing = pair(
        trace(Role.REFERENCE, left, tree), trace(Role.CANDIDATE, [], tree), match_state(tree, tree)
    )

    assert [(u.key.name, u.is_promised) for u in pairing.unpaired] == [("fc.weight", True)]


def test_a_twin_is_found_only_where_both_sides_have_one() -> None:
    lifted = Precision.FLOAT64
    pairing = both(
        [record(Kind.LOSS, name, precision=p) for name in "ab" for p in Precision],
        [record(Kind.LOSS, "a"), record(Kind.LOSS, "b"), record(Kind.LOSS, "a", precision=lifted)],
    )
    by_path = {p.reference.key.path: p for p in pairing.pairs}

    twin = pairing.twin(by_path["a"])

    assert len(pairing.pairs) == 2
    assert twin is not None
    assert twin.reference.key.precision is twin.candidate.key.precision is lifted
    assert pairing.twin(by_path["b"]) is None


def test_a_trace_without_manifest_is_paired_as_far_as_it_goes() -> None:
    one = trace(Role.REFERENCE, [record(Kind.ACTIVATION, "", "out.0"), record(Kind.LOSS, "loss")])
    broken = replace(one, info=None, is_complete=False)

    pairing = pair(one, broken, NOTHING)

    assert len(pairing.pairs) == 2
