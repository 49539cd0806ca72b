"""Names: what the rules match, and what they refuse to guess. No framework is needed here."""

from __future__ import annotations

import re

import pytest

from portalign.errors import MappingError
from portalign.mapping.names import match_state
from portalign.mapping.weights import Fate
from portalign.records import Kind, ParameterInfo, Structure
from structures import pairs_of, tensors

BLOCK = (8, 8)


@pytest.mark.parametrize(
    ("reference", "candidate"),
    [
        ("encoder.layer.0.attention.self.query.weight", "layers.0.self_attn.q_proj.weight"),
        ("h.3.attn.c_proj.weight", "decoder.layers.3.self_attn.out_proj.weight"),
        ("h.0.mlp.c_fc.bias", "layers.0.linear1.bias"),
        ("layer.1.output.LayerNorm.gamma", "layers.1.norm2.weight"),
        ("bert.embeddings.word_embeddings.weight", "embed_tokens.weight"),
        ("bn1.running_var", "norm1._variance"),
        ("layer1.0.downsample.0.weight", "layer1.0.shortcut.conv.weight"),
        ("classifier.weight", "fc.weight"),
        ("0.cell_bw.weight_ih", "weight_ih_l0_reverse"),
    ],
)
def test_the_same_thing_in_other_words_is_matched(reference: str, candidate: str) -> None:
    decoy = reference.replace("weight", "bias") if "weight" in reference else "other.weight"

    plan = match_state(
        tensors((reference, BLOCK), (f"{decoy}.x", (3,))),
        tensors((f"{decoy}.x", (3,)), (candidate, BLOCK)),
    )

    assert pairs_of(plan)[reference] == candidate
    assert "other words" in plan.entries[0].why


def test_swapped_names_are_matched_by_name_and_never_by_shape_or_order() -> None:
    plan = match_state(
        tensors(("attn.query.weight", BLOCK), ("attn.key.weight", BLOCK)),
        tensors(("attn.k_proj.weight", BLOCK), ("attn.q_proj.weight", BLOCK)),
    )

    assert pairs_of(plan) == {
        "attn.query.weight": "attn.q_proj.weight",
        "attn.key.weight": "attn.k_proj.weight",
    }


@pytest.mark.parametrize(
    ("reference", "candidate"),
    [
        ("attn.query.weight", "attn.key.weight"),
        ("encoder.fc.weight", "decoder.fc.weight"),
        ("conv1.weight", "conv2.weight"),
        ("rnn.weight_ih", "rnn.weight_hh"),
    ],
)
def test_names_that_contradict_are_never_matched_though_they_are_all_there_is(
    reference: str, candidate: str
) -> None:
    with pytest.raises(MappingError) as caught:
        match_state(tensors((reference, BLOCK)), tensors((candidate, BLOCK)))

    assert f"no place in the candidate:\n    {reference} [8, 8]" in caught.value.found
    assert f"filled by nothing:\n    {candidate} [8, 8]" in caught.value.found


def test_siblings_without_telling_names_are_ambiguous_and_the_remedy_can_be_typed() -> None:
    reference = tensors(("branch.left.weight", BLOCK), ("branch.right.weight", BLOCK))
    candidate = tensors(("branch.foo.weight", BLOCK), ("branch.bar_more.weight", BLOCK))

    with pytest.raises(MappingError) as caught:
        match_state(reference, candidate)

    error = caught.value
    for name in ("branch.left.weight", "branch.right.weight"):
        assert (
            f"{name} [8, 8] of torch Linear could be branch.foo.weight or branch.bar_more.weight"
            in error.found
        )
    typed = re.search(r"- \['(.*)', '(.*)'\]  # or branch.bar_more.weight", error.do)
    assert typed is not None
    plan = match_state(reference, candidate, rename=[[typed[1], typed[2]]])
    assert pairs_of(plan)["branch.left.weight"] == "branch.foo.weight"
    assert "the port file renames it" in plan.entries[0].why


def test_siblings_of_different_shape_are_told_apart() -> None:
    plan = match_state(
        tensors(("left.weight", (8, 4)), ("right.weight", (8, 6))),
        tensors(("foo.weight", (6, 8)), ("bar.weight", (4, 8)), framework="paddle"),
    )

    assert pairs_of(plan) == {"left.weight": "bar.weight", "right.weight": "foo.weight"}
    assert "the only one of its shape" in plan.entries[0].why


def test_index_only_names_follow_their_order_across_containers() -> None:
    plan = match_state(
        tensors(("0.weight", BLOCK), ("2.weight", BLOCK), ("4.weight", (3, 8))),
        tensors(("net.1.weight", BLOCK), ("net.3.weight", BLOCK), ("net.7.weight", (3, 8))),
    )

    assert [*pairs_of(plan).values()] == ["net.1.weight", "net.3.weight", "net.7.weight"]


def test_equal_indices_do_not_pair_different_children_of_a_container() -> None:
    plan = match_state(
        tensors(*((f"net.{i}.weight", BLOCK) for i in (0, 2, 4, 6))),
        tensors(*((f"net.{i}.weight", BLOCK) for i in (0, 3, 6, 9))),
    )

    assert pairs_of(plan)["net.6.weight"] == "net.9.weight"
    assert pairs_of(plan)["net.4.weight"] == "net.6.weight"
    assert "indices differ" in plan.entries[3].why


def test_index_only_order_with_another_shape_at_one_position_is_an_error() -> None:
    with pytest.raises(MappingError, match=r"shapes disagree"):
        match_state(
            tensors(("net.0.weight", BLOCK), ("net.2.weight", (3, 8))),
            tensors(("net.0.weight", (3, 8)), ("net.3.weight", BLOCK)),
        )


def test_both_shapes_are_named_where_they_disagree() -> None:
    with pytest.raises(MappingError) as caught:
        match_state(
            tensors(("fc.weight", (10, 8))), tensors(("fc.weight", (8, 12)), framework="paddle")
        )

    assert "reference [10, 8], transposed for the candidate [8, 10]" in caught.value.found
    assert "the candidate has [8, 12]" in caught.value.found


def test_a_parameter_on_one_side_only_is_listed() -> None:
    with pytest.raises(MappingError) as caught:
        match_state(
            tensors(("fc.weight", BLOCK), ("fc.bias", (8,))),
            tensors(("fc.weight", BLOCK), ("extra.table", (5, 8))),
        )

    assert "no place in the candidate:\n    fc.bias [8]" in caught.value.found
    assert "filled by nothing:\n    extra.table [5, 8]" in caught.value.found


@pytest.mark.parametrize("choice", ["as_is", "transposed"])
def test_a_square_raw_parameter_asks_for_its_layout_across_frameworks(choice: str) -> None:
    reference = tensors(("mixer.table", BLOCK), module_type="Mixer")
    candidate = tensors(("mixer.table", BLOCK), module_type="Mixer", framework="paddle")

    with pytest.raises(MappingError) as caught:
        match_state(reference, candidate)
    plan = match_state(reference, candidate, layout={"mixer.table": choice})

    assert "layout open" in caught.value.found
    assert "'mixer.table': as_is  # or transposed" in caught.value.do
    assert bool(plan.entries[0].layout.moves) == (choice == "transposed")
    assert f"port file says {choice}" in str(plan.audit[0])


def test_a_square_raw_parameter_is_taken_as_it_is_within_one_framework() -> None:
    side = tensors(("mixer.table", BLOCK), module_type="Mixer")

    plan = match_state(side, side)

    assert plan.entries[0].layout.moves == ()
    assert "same framework" in str(plan.audit[0])


def test_every_square_matrix_says_why_it_was_or_was_not_transposed() -> None:
    plan = match_state(
        tensors(("fc.weight", BLOCK)), tensors(("fc.weight", BLOCK), framework="paddle")
    )

    assert "transposed: torch Linear keeps [out, in], paddle Linear [in, out]" in str(plan.audit[0])
    assert "square" in str(plan.audit[0])


@pytest.mark.parametrize(
    ("rename", "layout", "text"),
    [
        ([["(", "x"]], {}, "is no regular expression"),
        ([["nothing", "x"]], {}, "matches no full name"),
        ([["fc", "x"]], {}, "matches no full name"),
        ([["fc.weight", "there.weight"]], {}, "the candidate doesn't have"),
        ([["fc.weight", r"\3"]], {}, "can't be used"),
        ([["fc.*", "fc.weight"]], {}, "from both fc.weight and fc.other"),
        ([], {"fc.weight": "sideways"}, "write as_is, transposed"),
        ([], {"gone": "as_is"}, "which neither side has"),
    ],
    ids=["regex", "matches-nothing", "not-full", "target", "group", "twice", "word", "name"],
)
def test_orders_that_make_no_sense_are_refused(
    rename: list[list[str]], layout: dict[str, str], text: str
) -> None:
    side = tensors(("fc.weight", BLOCK), ("fc.other", BLOCK))

    with pytest.raises(MappingError, match=re.escape(text)):
        match_state(side, side, rename=rename, layout=layout)


def _with(side: Structure, *extra: ParameterInfo) -> Structure:
    return Structure(side.framework, side.modules, (*side.state, *extra))


def _buffer(name: str, *, persistent: bool, shape: tuple[int, ...] = ()) -> ParameterInfo:
    module, _, slot = name.rpartition(".")
    return ParameterInfo(
        name, module, slot, "Mine", shape, "float32", Kind.BUFFER, False, persistent
    )


def test_counters_and_computed_buffers_need_no_counterpart_but_are_listed() -> None:
    plain = tensors(("bn.weight", (8,)))
    counted = _with(
        plain,
        _buffer("bn.num_batches_tracked", persistent=True),
        _buffer("rotary.inv_freq", persistent=False),
    )

    plan = match_state(counted, plain)

    assert plan.harmless() == {"bn.num_batches_tracked", "rotary.inv_freq"}


def test_a_persistent_buffer_without_counterpart_is_an_error() -> None:
    plain = tensors(("bn.weight", (8,)))

    with pytest.raises(MappingError, match=r"no place in the candidate:\s+table"):
        match_state(_with(plain, _buffer("table", persistent=True)), plain)


def test_a_buffer_that_both_sides_compute_is_compared_and_never_overwritten() -> None:
    side = _with(tensors(("fc.weight", BLOCK)), _buffer("rotary.inv_freq", persistent=False))

    plan = match_state(side, side)

    (entry,) = [entry for entry in plan.entries if entry.reference == ("rotary.inv_freq",)]
    assert not entry.is_copied
    assert [line.fate for line in plan.audit] == [Fate.LOADED, Fate.COMPUTED]


def _tied(name: str, to: str, shape: tuple[int, ...]) -> ParameterInfo:
    module, _, slot = name.rpartition(".")
    return ParameterInfo(name, module, slot, "Linear", shape, "float32", tied_to=to)


def test_a_tie_in_the_reference_only_fills_both_and_is_listed() -> None:
    reference = _with(tensors(("wte.weight", BLOCK)), _tied("head.weight", "wte.weight", BLOCK))
    candidate = tensors(("wte.weight", BLOCK), ("head.weight", BLOCK))

    plan = match_state(reference, candidate)

    assert [e.candidate for e in plan.entries] == [("wte.weight",), ("head.weight",)]
    assert {e.reference for e in plan.entries} == {("wte.weight",)}
    assert any("values go to wte.weight and head.weight" in str(line) for line in plan.audit)


def test_a_tie_in_the_candidate_only_is_an_error_when_two_tensors_meet_in_it() -> None:
    reference = tensors(("wte.weight", BLOCK), ("head.weight", BLOCK))
    candidate = _with(tensors(("wte.weight", BLOCK)), _tied("head.weight", "wte.weight", BLOCK))

    with pytest.raises(MappingError, match="ties what the reference doesn't"):
        match_state(reference, candidate)


def test_interleaved_query_key_value_is_never_cut_into_blocks() -> None:
    with pytest.raises(MappingError, match=r"query_key_value.weight \[24, 8\]"):
        match_state(
            tensors(("attention.query_key_value.weight", (24, 8))),
            tensors(*((f"attention.{n}_proj.weight", BLOCK) for n in "qkv")),
        )


def test_a_packed_tensor_with_one_part_missing_is_an_error() -> None:
    with pytest.raises(MappingError, match=r"qkv.weight \(part v\)"):
        match_state(
            tensors(("attn.qkv.weight", (24, 8))),
            tensors(*((f"attn.{n}_proj.weight", BLOCK) for n in "qk")),
        )


def test_weights_that_are_not_carried_are_compared_and_a_missing_counterpart_is_listed() -> None:
    ours = tensors(("fc.weight", BLOCK), ("norm.weight", (8,)))
    theirs = tensors(("fc.weight", BLOCK), ("folded.weight", (3,)))

    plan = match_state(ours, theirs, is_carried=False)

    assert pairs_of(plan) == {"fc.weight": "fc.weight"}
    assert not any(entry.is_copied for entry in plan.entries)
    assert plan.harmless() == {"norm.weight", "folded.weight"}
    with pytest.raises(MappingError, match="no place in the candidate"):
        match_state(ours, theirs)


def test_a_misfit_of_weights_that_are_not_carried_is_listed_and_not_compared() -> None:
    plan = match_state(
        tensors(("fc.weight", (8, 4))), tensors(("fc.weight", (8, 5))), is_carried=False
    )

    assert plan.entries == ()
    assert [line.fate for line in plan.audit] == [Fate.UNUSED, Fate.UNUSED]
