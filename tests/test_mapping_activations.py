"""Pairing activations of real models, by the modules they belong to. Torch comes before paddle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
paddle = pytest.importorskip("paddle")

from portalign.mapping.names import match_state  # noqa: E402  (torch must be imported first)
from portalign.mapping.pair import Pairing, module_map, pair  # noqa: E402
from portalign.mapping.weights import WeightPlan  # noqa: E402
from portalign.ports.bert import paddle_side as paddle_bert  # noqa: E402
from portalign.ports.bert import torch_side as torch_bert  # noqa: E402
from portalign.records import Array, Kind, ModuleInfo, Role, Trace  # noqa: E402
from structures import (  # noqa: E402
    CLOSE,
    floats,
    line_up,
    record,
    structure,
    tensors,
    trace,
    trace_of,
)

nn, pnn = torch.nn, paddle.nn
NOTHING = WeightPlan(())


def watched(reference: Any, candidate: Any, *inputs: Array) -> tuple[Pairing, Trace, Trace]:
    plan = line_up(reference, candidate)
    left = trace_of(reference, Role.REFERENCE, *inputs)
    right = trace_of(candidate, Role.CANDIDATE, *inputs)
    return pair(left, right, plan), left, right


def worst(pairing: Pairing) -> float:
    return max(
        float(np.abs(p.reference.array - p.candidate_values()).max())
        for p in pairing.pairs
        if p.reference.array.dtype.kind == "f"
    )


def labels(pairing: Pairing) -> set[str]:
    return {p.label for p in pairing.pairs}


def test_every_point_of_the_shipped_bert_port_agrees_with_its_pair() -> None:
    reference = torch_bert.build({"size": "mini"})
    candidate = paddle_bert.build({"size": "mini"})
    ids = np.random.default_rng(0).integers(0, 1000, size=(2, 9))

    pairing, _, _ = watched(reference, candidate, ids)

    assert worst(pairing) < CLOSE
    assert len(labels(pairing)) == len(pairing.pairs)
    for point in (
        "bert.embeddings out.0",
        "bert.encoder.layer.2 out.0",
        "bert.encoder.layer.1.attention.self.query out.0",
        "bert.encoder.layer.1.output.LayerNorm out.0",
        "bert.encoder.layer.0.intermediate.dense.weight",
    ):
        assert point in labels(pairing)


def test_modules_of_bert_are_mapped_by_the_weights_they_hold() -> None:
    reference = structure(torch_bert.build({"size": "mini"}))
    candidate = structure(paddle_bert.build({"size": "mini"}))

    found = module_map(reference, candidate, match_state(reference, candidate))

    assert found[""] == ""
    assert found["bert.encoder.layer.1"] == "bert.encoder.layers.1"
    assert found["bert.encoder.layer.1.attention.self.key"] == (
        "bert.encoder.layers.1.self_attn.k_proj"
    )
    assert found["bert.pooler"] == "bert.pooler"
    assert found["dropout"] == "dropout"
    assert "bert.encoder.layer.1.attention.output" not in found  # holds a norm; no such module
    assert "bert.encoder.layer.1.attention.self" not in found
    assert len(set(found.values())) == len(found)


def test_packed_parameters_are_compared_in_the_reference_packing() -> None:
    reference = nn.MultiheadAttention(8, 2, batch_first=True)
    candidate = pnn.MultiHeadAttention(8, 2)
    plan = line_up(reference, candidate)
    sides = [
        trace_of(m, r, *[floats(2, 3, 8)] * 3)
        for m, r in zip((reference, candidate), Role, strict=True)
    ]

    pairing = pair(sides[0], sides[1], plan)
    back = pair(sides[1], sides[0], match_state(structure(candidate), structure(reference)))

    packed = {p.label: p for p in pairing.pairs}["in_proj_weight"]
    assert np.array_equal(packed.candidate_values(), packed.reference.array)
    apart = {p.label: p for p in back.pairs}
    for name in ("q_proj.weight", "k_proj.weight", "v_proj.weight", "v_proj.bias"):
        assert np.array_equal(apart[name].candidate_values(), apart[name].reference.array)
    alone = {u.key.kind for u in (*pairing.unpaired, *back.unpaired) if u.is_promised}
    assert alone == {Kind.OUTPUT}  # torch returns the attention weights too


def test_activations_without_parameters_are_paired_by_place_and_kind() -> None:
    reference = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU())
    candidate = pnn.Sequential(
        pnn.Linear(4, 4), pnn.ReLU(), pnn.Dropout(), pnn.Linear(4, 4), pnn.ReLU()
    )

    pairing, _, _ = watched(reference, candidate, floats(3, 4))

    paired = {
        p.reference.key.path: p.candidate.key.path
        for p in pairing.pairs
        if p.reference.key.slot == "out.0"
    }
    assert paired == {"": "", "0": "0", "1": "1", "2": "3", "3": "4"}
    assert worst(pairing) < CLOSE
    assert {u.key.path for u in pairing.unpaired if u.key.kind is Kind.ACTIVATION} == {"2"}


class _Acts(nn.Module):  # type: ignore[misc]  # torch is not read by the type checker
    def __init__(self, **layers: Any) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Any) -> Any:
        for layer in self.children():
            x = layer(x)
        return x


@pytest.mark.parametrize(
    ("reference", "candidate", "paired"),
    [
        ({"act": nn.ReLU()}, {"activation": nn.GELU()}, {"act": "activation"}),
        ({"gelu": nn.GELU()}, {"nonlinearity": nn.GELU()}, {"gelu": "nonlinearity"}),
        ({"a": nn.ReLU(), "b": nn.ReLU()}, {"c": nn.ReLU(), "d": nn.ReLU()}, {}),
        ({"attn_drop": nn.Dropout()}, {"path": nn.Dropout()}, {}),
        (
            {"r1": nn.ReLU(), "r2": nn.ReLU()},
            {"s3": nn.ReLU(), "s4": nn.ReLU()},
            {"r1": "s3", "r2": "s4"},
        ),
    ],
    ids=["name-over-kind", "kind", "no-order-without-numbers", "dropout-needs-a-name", "numbered"],
)
def test_a_module_without_parameters_needs_a_name_or_a_kind_of_its_own(
    reference: dict[str, Any], candidate: dict[str, Any], paired: dict[str, str]
) -> None:
    sides = [structure(_Acts(fc=nn.Linear(2, 2), **layers)) for layers in (reference, candidate)]

    found = module_map(sides[0], sides[1], match_state(sides[0], sides[1]))

    assert {a: b for a, b in found.items() if a not in ("", "fc")} == paired


def test_modules_that_are_called_differently_often_stay_alone_with_the_reason() -> None:
    twice = nn.Linear(2, 2)
    reference, candidate = _Acts(fc=twice), _Acts(fc=nn.Linear(2, 2))
    reference.forward = lambda x: twice(twice(x))

    pairing, _, _ = watched(reference, candidate, floats(3, 2))

    assert not [p for p in pairing.pairs if p.reference.key.path == "fc" and "out" in p.label]
    reasons = {u.reason for u in pairing.unpaired if u.key.path == "fc"}
    assert reasons == {"called 2 times by the reference, 1 by the candidate"}


def test_an_activation_that_lies_differently_is_no_pair() -> None:
    reference, candidate = (
        nn.GRU(4, 4),
        pnn.GRU(4, 4),
    )  # [time, batch, width] and [batch, time, width]
    plan = line_up(reference, candidate)
    left = trace_of(reference, Role.REFERENCE, floats(5, 2, 4))
    right = trace_of(candidate, Role.CANDIDATE, floats(2, 5, 4))

    pairing = pair(left, right, plan)

    alone = [u for u in pairing.unpaired if u.key.slot == "out.0"]
    assert [u.role for u in alone] == list(Role)
    assert "[5, 2, 4] and [2, 5, 4]" in alone[0].reason
    assert not any(u.is_promised for u in alone)


def test_gradients_follow_their_activations_whichever_of_them_arrive() -> None:
    """Paddle hands zeros to a state that nobody uses; torch records no gradient there."""
    tree = tensors(("lstm.weight", (4, 4)))
    tree = replace(tree, modules=(ModuleInfo("lstm", "LSTM"),))
    slots = ("out.0", "out.1.0", "out.1.1")
    seen = [record(Kind.ACTIVATION, "lstm", slot) for slot in slots]
    left = [*seen, record(Kind.GRADIENT, "lstm", "out.1.0")]
    right = [*seen, *(record(Kind.GRADIENT, "lstm", slot) for slot in slots)]
    sides = trace(Role.REFERENCE, left, tree), trace(Role.CANDIDATE, right, tree)

    pairing = pair(*sides, match_state(tree, tree))

    assert [p.label for p in pairing.pairs] == [*(f"lstm {s}" for s in slots), "grad lstm out.1.0"]
    alone = [(u.role, u.key.slot) for u in pairing.unpaired if u.key.kind is Kind.GRADIENT]
    assert alone == [("candidate", "out.0"), ("candidate", "out.1.1")]


def test_a_wrong_width_of_two_modules_that_own_the_same_weights_is_shown() -> None:
    tree = replace(tensors(("fc.weight", (4, 4))))
    plan = match_state(tree, tree)
    left = [record(Kind.ACTIVATION, "fc", "out.0", array=np.zeros((2, 4)))]
    right = [record(Kind.ACTIVATION, "fc", "out.0", array=np.zeros((2, 5)))]
    sides = trace(Role.REFERENCE, left, tree), trace(Role.CANDIDATE, right, tree)

    assert not pair(*sides, NOTHING).pairs
    assert module_map(tree, tree, plan) == {"": ""}  # the tree lists no modules
    with_modules = replace(tree, modules=structure(_Acts(fc=nn.Linear(4, 4))).modules)
    sides = trace(Role.REFERENCE, left, with_modules), trace(Role.CANDIDATE, right, with_modules)
    assert [p.label for p in pair(*sides, plan).pairs] == ["fc out.0"]
