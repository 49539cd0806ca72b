"""Where differences begin: small hand-made runs, each pair either passing or failing."""

from __future__ import annotations

from collections.abc import Set

import numpy as np
import pytest

from portalign.compare.locate import locate
from portalign.compare.pairs import compare
from portalign.records import Kind, TensorKey
from portalign.results import Comparison, Divergence

# Capture order of one forward pass; indentation shows what contains what.
FORWARD = (
    "in: in.0",
    "embed: in.0",
    "embed: out.0",
    "layer: in.0",
    "layer.q: in.0",
    "layer.q: out.0",
    "layer.k: in.0",
    "layer.k: out.0",
    "layer.proj: in.0",
    "layer.proj: out.0",
    "layer: out.0",
    "head: in.0",
    "head: out.0",
)


def _pair(key: TensorKey, label: str, order: int, state: str) -> Comparison:
    value = {"pass": 1.0, "fail": 2.0, "undecided": np.nan}
    reference = np.array([value[state] if state == "undecided" else 1.0])
    return compare(reference, np.array([value[state]]), key=key, label=label, order=order)


def _forward(
    failing: set[str], *, undecided: Set[str] = frozenset(), iteration: int = 0
) -> list[Comparison]:
    pairs = []
    for order, line in enumerate(FORWARD):
        path, slot = line.split(": ")
        state = "fail" if line in failing else "undecided" if line in undecided else "pass"
        key = TensorKey(Kind.ACTIVATION, path, slot, iteration=iteration)
        pairs.append(_pair(key, line, order, state))
    return pairs


def _value(
    kind: Kind,
    path: str,
    *,
    slot: str = "",
    iteration: int = 0,
    order: int = 0,
    state: str = "fail",
) -> Comparison:
    key = TensorKey(kind, path, slot, iteration=iteration)
    return _pair(key, f"{kind.value} {key.name} {iteration}", order, state)


def test_nothing_failing_gives_an_empty_divergence() -> None:
    assert locate(_forward(set())) == Divergence()
    assert locate([]) == Divergence()


def test_an_output_with_passing_inputs_is_the_origin_and_the_rest_inherits() -> None:
    found = locate(
        _forward({"layer.k: out.0", "layer.proj: in.0", "layer.proj: out.0", "layer: out.0"})
    )

    assert found.origins == ("layer.k: out.0",)
    assert found.inherited == ("layer.proj: in.0", "layer.proj: out.0", "layer: out.0")
    assert found.unresolved == ()
    assert found.first == "layer.k: out.0"


def test_two_modules_that_differ_on_equal_inputs_are_both_origins() -> None:
    found = locate(_forward({"layer.q: out.0", "layer.k: out.0", "layer: out.0"}))

    assert found.origins == ("layer.q: out.0", "layer.k: out.0")


def test_a_parent_that_differs_while_everything_inside_agrees_is_the_origin_itself() -> None:
    found = locate(_forward({"layer: out.0", "head: in.0", "head: out.0"}))

    assert found.origins == ("layer: out.0",)
    assert found.inherited == ("head: in.0", "head: out.0")


def test_the_first_failing_module_input_is_glue_and_names_its_neighbours() -> None:
    found = locate(_forward({"layer.proj: in.0", "layer.proj: out.0", "layer: out.0"}))

    assert found.unresolved == ("glue before layer.proj, after layer.k: out.0: layer.proj: in.0",)
    assert found.origins == ()
    assert found.inherited == ("layer.proj: out.0", "layer: out.0")


def test_a_failing_input_behind_a_failing_output_is_no_glue() -> None:
    found = locate(_forward({"embed: out.0", "layer: in.0", "layer.q: in.0"}))

    assert found.unresolved == ()
    assert found.inherited == ("layer: in.0", "layer.q: in.0")


def test_a_model_output_that_fails_behind_passing_modules_is_glue_after_the_last() -> None:
    logits = _value(Kind.OUTPUT, "logits", order=20)

    found = locate([*_forward(set()), logits])

    assert found.unresolved == ("glue after head: out.0: output output logits 0",)
    assert locate([*_forward({"head: out.0"}), logits]).inherited == ("output logits 0",)


def test_a_failing_weight_is_an_origin_and_its_module_inherits() -> None:
    weight = _value(Kind.PARAMETER, "layer.q", slot="weight")
    forward = _forward({"layer.q: out.0", "layer: out.0"})

    found = locate([weight, *forward])

    assert found.origins == ("parameter layer.q.weight 0",)
    assert found.inherited == ("layer.q: out.0", "layer: out.0")
    assert locate(forward).origins == ("layer.q: out.0",)


def test_a_weight_elsewhere_excuses_no_module() -> None:
    found = locate(
        [_value(Kind.PARAMETER, "layer.qq", slot="weight"), *_forward({"layer.q: out.0"})]
    )

    assert found.origins == ("parameter layer.qq.weight 0", "layer.q: out.0")


def test_a_failing_weight_that_a_container_owns_explains_the_glue_inside_it() -> None:
    table = _value(Kind.PARAMETER, "layer", slot="position")
    forward = _forward({"layer.q: in.0", "layer.q: out.0"})

    assert locate([table, *forward]).unresolved == ()
    assert locate(forward).unresolved == ("glue before layer.q, after embed: out.0: layer.q: in.0",)


def test_failing_batches_are_origins_and_module_inputs_inherit_from_them() -> None:
    batch = _value(Kind.INPUT, "input_ids")

    found = locate([batch, *_forward({"in: in.0", "embed: in.0", "embed: out.0"})])

    assert found.origins == ("input input_ids 0",)
    assert found.unresolved == ()
    assert found.inherited == ("in: in.0", "embed: in.0", "embed: out.0")


def test_an_output_whose_input_is_undecided_is_unresolved_behind_a_failure_only() -> None:
    behind = locate(_forward({"embed: out.0", "layer.k: out.0"}, undecided={"layer.k: in.0"}))
    alone = locate(_forward({"layer.k: out.0"}, undecided={"layer.k: in.0"}))

    assert (behind.origins, behind.unresolved) == (("embed: out.0",), ("layer.k: out.0",))
    assert alone.origins == ("layer.k: out.0",)


def test_an_undecided_pair_is_in_no_list() -> None:
    assert locate(_forward(set(), undecided={"layer.k: out.0"})) == Divergence()


def test_batches_that_are_only_run_forward_do_not_feed_each_other() -> None:
    runs = [*_forward({"embed: out.0"}), *_forward({"layer.k: out.0"}, iteration=1)]

    assert locate(runs).origins == ("embed: out.0", "layer.k: out.0")


def test_repeated_calls_of_one_module_are_told_apart() -> None:
    calls = []
    for order, (call, slot, state) in enumerate(
        [(0, "in.0", "pass"), (0, "out.0", "pass"), (1, "in.0", "pass"), (1, "out.0", "fail")]
    ):
        key = TensorKey(Kind.ACTIVATION, "cell", slot, call=call)
        calls.append(_pair(key, f"cell {call} {slot}", order, state))

    assert locate(calls).origins == ("cell 1 out.0",)


def _gradients(failing: set[str]) -> list[Comparison]:
    paths = ("embed", "layer.q", "layer.k", "layer.proj", "head")
    return [
        _value(
            Kind.GRADIENT,
            path,
            slot="weight",
            order=100 + at,
            state="fail" if path in failing else "pass",
        )
        for at, path in enumerate(paths)
    ]


@pytest.mark.parametrize("forward", [[], _forward(set())], ids=["alone", "with forward"])
def test_the_earliest_gradient_of_the_backward_pass_is_the_origin(
    forward: list[Comparison],
) -> None:
    found = locate([*forward, *_gradients({"embed", "layer.q", "layer.k"})])

    assert found.first == "gradient layer.k.weight 0"
    assert found.origins == ("gradient layer.k.weight 0",)
    assert found.inherited == ("gradient layer.q.weight 0", "gradient embed.weight 0")


def test_gradients_inherit_from_a_failing_forward_pass() -> None:
    found = locate([*_forward({"head: out.0"}), *_gradients({"head"})])

    assert found.origins == ("head: out.0",)
    assert found.inherited == ("gradient head.weight 0",)


CHAIN = [
    _value(Kind.INPUT, "x"),
    _value(Kind.LOSS, "loss"),
    _value(Kind.GRADIENT, "fc", slot="weight"),
    _value(Kind.GRADIENT_NORM, "norm"),
    _value(Kind.LR, "lr"),
    _value(Kind.OPTIMIZER_STATE, "fc", slot="moment"),
    _value(Kind.PARAMETER, "fc", slot="weight", iteration=1),
    _value(Kind.LOSS, "loss", iteration=1),
]


@pytest.mark.parametrize("at", range(len(CHAIN)), ids=[one.label for one in CHAIN])
def test_blame_falls_on_the_first_link_of_the_chain_whatever_the_given_order(at: int) -> None:
    found = locate(reversed(CHAIN[at:]))

    expected = {CHAIN[at].label}
    if at < 4:
        expected.add("lr lr 0")  # nothing feeds a schedule
    assert found.first == CHAIN[at].label
    assert set(found.origins) == expected
    assert set(found.inherited) == {one.label for one in CHAIN[at:]} - expected


def test_a_wrong_schedule_is_one_origin_and_explains_updates_but_no_gradient_before_them() -> None:
    rates = [_value(Kind.LR, "lr", iteration=k) for k in range(3)]
    gradient = _value(Kind.GRADIENT, "fc", slot="weight")

    found = locate([*rates, gradient, _value(Kind.PARAMETER, "fc", slot="bias", iteration=1)])

    assert found.origins == ("gradient fc.weight 0", "lr lr 0")
    assert "lr lr 2" in found.inherited


def test_updated_weights_that_differ_alone_are_each_an_origin() -> None:
    biases = [_value(Kind.PARAMETER, path, slot="bias", iteration=1) for path in ("a", "b")]

    assert locate(biases).origins == ("parameter a.bias 1", "parameter b.bias 1")
