"""Fused projections: what a name or the port file says is packed arrives where it belongs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from portalign.errors import MappingError
from portalign.mapping.names import match_state
from portalign.mapping.weights import WeightPlan, carry
from portalign.records import Array, Structure
from structures import pairs_of, tensors

Q, K, V = (np.random.default_rng(at).normal(size=(8, 8)) for at in range(3))
K2, V2 = K[:4], V[:4]  # grouped: one key head for two query heads
QUERY, KEY, VALUE = "attn.q_proj.weight", "attn.k_proj.weight", "attn.v_proj.weight"
APART = {QUERY: Q, KEY: K, VALUE: V}
GROUPED = {QUERY: Q, KEY: K2, VALUE: V2}
GROUPED_PARTS = (("q", Q), ("k", K2), ("v", V2))


def by_heads(n_heads: int, *parts: Array) -> Array:
    """What BLOOM and GPT-NeoX keep: [heads, parts, head width, in] in one."""
    shares = [part.reshape(n_heads, -1, part.shape[1]) for part in parts]
    return np.concatenate(shares, axis=1).reshape(-1, parts[0].shape[1])


def structure_of(values: Mapping[str, Array], framework: str = "torch") -> Structure:
    return tensors(*((name, array.shape) for name, array in values.items()), framework=framework)


def plan_of(
    reference: Mapping[str, Array], candidate: Mapping[str, Array], **help_given: object
) -> WeightPlan:
    return match_state(structure_of(reference), structure_of(candidate), **help_given)  # type: ignore[arg-type]


def assert_carried(
    reference: Mapping[str, Array], candidate: Mapping[str, Array], **help_given: object
) -> None:
    plan = plan_of(reference, candidate, **help_given)
    found = dict(carry(plan, reference.__getitem__))

    assert found.keys() == candidate.keys()
    for name, array in candidate.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


FUSED = {
    "kv apart from q": (APART, {QUERY: Q, "attn.kv_proj.weight": np.concatenate([K, V])}),
    "q, k and v": (APART, {"attn.qkv.weight": np.concatenate([Q, K, V])}),
    "grouped": (GROUPED, {"attn.qkv_proj.weight": np.concatenate([Q, K2, V2])}),
    "biases": (
        {f"attn.{part}_proj.bias": array[:, 0] for part, array in GROUPED_PARTS},
        {"attn.qkv_proj.bias": np.concatenate([array[:, 0] for _, array in GROUPED_PARTS])},
    ),
    "one fused, two fused": (
        {"attn.qkv.weight": np.concatenate([Q, K, V])},
        {QUERY: Q, "attn.kv.weight": np.concatenate([K, V])},
    ),
    "gate and up": (
        {"mlp.gate_proj.weight": Q, "mlp.up_proj.weight": K},
        {"mlp.gate_up_proj.weight": np.concatenate([Q, K])},
    ),
}


@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize("is_reversed", [False, True], ids=["joined", "split"])
def test_what_a_name_packs_is_carried_in_the_order_of_the_name(
    name: str, is_reversed: bool
) -> None:
    apart, fused = FUSED[name]

    assert_carried(*((fused, apart) if is_reversed else (apart, fused)))


def test_a_fused_linear_of_paddle_gets_torchs_weights_transposed() -> None:
    plan = match_state(
        structure_of(GROUPED), tensors(("attn.qkv_proj.weight", (8, 16)), framework="paddle")
    )

    ((_, found),) = carry(plan, GROUPED.__getitem__)

    np.testing.assert_array_equal(found, np.concatenate([Q, K2, V2]).T)


BLOOM = "attn.query_key_value.weight"
SAID = {
    "by head": (APART, {BLOOM: by_heads(2, Q, K, V)}, {BLOOM: "q k v by 2"}),
    "another order": (APART, {"attn.qkv.weight": np.concatenate([K, Q, V])}, {".*qkv.*": "k q v"}),
    "grouped by head": (GROUPED, {BLOOM: by_heads(4, Q, K2, V2)}, {BLOOM: "q k v by 4"}),
    "up before gate": (
        {"mlp.gate_proj.weight": Q, "mlp.up_proj.weight": K},
        {"mlp.up_gate_proj.weight": np.concatenate([K, Q])},
        {"mlp.up_gate_proj.weight": "up gate"},
    ),
    "two ways of packing": (
        {BLOOM: by_heads(2, Q, K, V)},
        {"attn.qkv_proj.weight": np.concatenate([Q, K, V])},
        {BLOOM: "q k v by 2"},
    ),
    "two ways, grouped, one name": (
        {BLOOM: by_heads(4, Q, K2, V2)},
        {BLOOM: np.concatenate([Q, K2, V2])},
        {f"reference:{BLOOM}": "2q k v by 4", f"candidate:{BLOOM}": "2q k v"},
    ),
}


@pytest.mark.parametrize("name", SAID)
@pytest.mark.parametrize("is_reversed", [False, True], ids=["joined", "split"])
def test_what_the_port_file_says_is_packed_is_carried_so(name: str, is_reversed: bool) -> None:
    apart, fused, layout = SAID[name]
    if is_reversed:
        swapped = {"reference": "candidate", "candidate": "reference"}
        layout = {
            ":".join([swapped.get(side, side), *rest]): words
            for (side, *rest), words in ((key.split(":"), words) for key, words in layout.items())
        }
        apart, fused = fused, apart

    assert_carried(apart, fused, layout=layout)


def test_tensors_packed_alike_on_both_sides_are_carried_as_they_lie() -> None:
    fused = by_heads(2, Q, K, V)
    names = {BLOOM: fused}, {"attn.qkv.weight": fused}
    said = {BLOOM: "q k v by 2", "attn.qkv.weight": "q k v by 2"}

    plan = plan_of(*names, layout=said)

    assert_carried(*names, layout=said)
    assert [str(entry.layout) for entry in plan.entries] == ["as is"]
    assert plan.entries[0].outputs is None


def test_a_rename_may_lead_to_a_part_of_a_packed_tensor() -> None:
    odd = {f"attn.{name}.weight": array for name, array in zip("abc", (Q, K, V), strict=True)}
    fused = {"attn.mixed.weight": np.concatenate([Q, K, V])}
    renames = [[rf"attn\.{a}\.weight", f"attn.mixed.weight:{b}"] for a, b in ("aq", "bk", "cv")]

    assert_carried(odd, fused, layout={"attn.mixed.weight": "q k v"}, rename=renames)
    back = [[rf"attn\.mixed\.weight:{b}", f"attn.{a}.weight"] for a, b in ("aq", "bk", "cv")]
    assert_carried(fused, odd, layout={"attn.mixed.weight": "q k v"}, rename=back)


def test_the_plan_says_which_side_packs_what() -> None:
    plan = plan_of(APART, {BLOOM: by_heads(2, Q, K, V)}, layout={BLOOM: "q k v by 2"})

    assert pairs_of(plan) == {"+".join(APART): BLOOM}
    assert "the candidate packs q, k and v in this order" in plan.entries[0].why
    assert "in turn for 2 groups" in plan.entries[0].why


WRONG: dict[str, tuple[Mapping[str, str], Sequence[str]]] = {
    "no number of heads": ({BLOOM: "q k v by 3"}, ["can't hold q, k, v in 3 groups", "after `by`"]),
    "too many parts": ({BLOOM: "q k v g h"}, ["can't hold q, k, v, g, h"]),
    "nothing said": (
        {},
        ["weights:\n    layout:", "'attn.query_key_value.weight': q k v by HEADS"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_packing_that_can_not_be_known_or_be_is_refused_with_what_to_write(name: str) -> None:
    layout, texts = WRONG[name]

    with pytest.raises(MappingError) as refused:
        plan_of(APART, {BLOOM: by_heads(2, Q, K, V)}, layout=layout)

    assert all(text in str(refused.value) for text in texts), refused.value


def test_up_and_gate_under_an_ambiguous_name_are_never_guessed() -> None:
    """ERNIE packs the gate first in `up_gate_proj`, others take the name by its word."""
    with pytest.raises(MappingError, match=r"'mlp.up_gate_proj.weight': gate up"):
        plan_of(
            {"mlp.gate_proj.weight": Q, "mlp.up_proj.weight": K},
            {"mlp.up_gate_proj.weight": np.concatenate([K, Q])},
        )
