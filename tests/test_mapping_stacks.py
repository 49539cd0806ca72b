"""One parameter with a slice per layer, against layers that have their own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from portalign.errors import MappingError
from portalign.mapping.names import match_state
from portalign.mapping.weights import WeightPlan, carry
from portalign.records import Array, Structure
from structures import pairs_of, tensors

N_LAYERS = 3


def values(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).normal(size=shape)


def layered(module_type: str = "Linear", **stacks: Array) -> tuple[Structure, dict[str, Array]]:
    """Slices under the names ``layers.0.fc1.weight``, ``layers.1.fc1.weight``, ..."""
    arrays = {
        f"layers.{at}.{name.replace('_', '.')}": stack[at]
        for at in range(N_LAYERS)
        for name, stack in stacks.items()
    }
    shapes = ((name, array.shape) for name, array in arrays.items())
    return tensors(*shapes, module_type=module_type), arrays


def stacked(**stacks: Array) -> tuple[Structure, dict[str, Array]]:
    """The same as raw parameters of one module: ``blocks.fc1_weight``."""
    arrays = {f"blocks.{name}": stack for name, stack in stacks.items()}
    shapes = ((name, array.shape) for name, array in arrays.items())
    return tensors(*shapes, module_type="Blocks"), arrays


def carried(plan: WeightPlan, source: Mapping[str, Array]) -> dict[str, Array]:
    return dict(carry(plan, source.__getitem__))


WIDE = {"fc1_weight": values(N_LAYERS, 12, 8), "fc1_bias": values(N_LAYERS, 12)}
NARROW = {"fc2_weight": values(N_LAYERS, 8, 12), "fc2_bias": values(N_LAYERS, 8)}
STACKS = {**WIDE, **NARROW}


@pytest.mark.parametrize("is_reversed", [False, True], ids=["layers to stack", "stack to layers"])
def test_a_stack_gets_the_layers_in_their_order_and_gives_them_back(is_reversed: bool) -> None:
    sides = [layered(**STACKS), stacked(**STACKS)]
    (ours, source), (theirs, expected) = sides[::-1] if is_reversed else sides

    found = carried(match_state(ours, theirs), source)

    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_a_stack_that_lies_transposed_is_told_by_its_shape() -> None:
    ours, source = layered(**WIDE)
    theirs, expected = stacked(
        fc1_weight=WIDE["fc1_weight"].transpose(0, 2, 1), fc1_bias=WIDE["fc1_bias"]
    )

    plan = match_state(ours, theirs)

    np.testing.assert_array_equal(
        carried(plan, source)["blocks.fc1_weight"], expected["blocks.fc1_weight"]
    )
    assert "the candidate stacks 3 of them along axis 0" in plan.entries[0].why
    assert pairs_of(plan)["+".join(f"layers.{at}.fc1.bias" for at in range(3))] == "blocks.fc1_bias"


def test_a_square_stack_of_unknown_layout_is_asked_for_and_settled_by_one_line() -> None:
    squares = {"fc1_weight": values(N_LAYERS, 8, 8)}
    (ours, source), (theirs, _) = layered(**squares), stacked(**squares)

    with pytest.raises(MappingError) as refused:
        match_state(ours, theirs)
    plan = match_state(ours, theirs, layout={r"layers\.\d+\.fc1\.weight": "transposed"})

    assert str(refused.value).count("as_is  # or transposed") == 1
    assert r"'layers\.\d+\.fc1\.weight': as_is  # or transposed" in str(refused.value)
    turned = squares["fc1_weight"].transpose(0, 2, 1)
    np.testing.assert_array_equal(carried(plan, source)["blocks.fc1_weight"], turned)


@pytest.mark.parametrize("is_reversed", [False, True], ids=["layers to stack", "stack to layers"])
def test_two_stacks_that_fit_alike_are_refused_with_the_lines_that_settle_it(
    is_reversed: bool,
) -> None:
    names = {"alpha": values(N_LAYERS, 12, 8), "omega": values(N_LAYERS, 12, 8) + 1}
    sides = [
        layered(up_weight=names["alpha"], gate_weight=names["omega"]),
        stacked(**names),
    ]
    (ours, source), (theirs, expected) = sides[::-1] if is_reversed else sides

    with pytest.raises(MappingError) as refused:
        match_state(ours, theirs)
    renames = [
        [rf"layers\.(\d+)\.{a}\.weight", rf"blocks.{b}:\1"]
        if not is_reversed
        else [rf"blocks\.{b}:(\d+)", rf"layers.\1.{a}.weight"]
        for a, b in (("up", "alpha"), ("gate", "omega"))
    ]
    said = {"blocks.alpha": "stacked", "blocks.omega": "stacked"}
    plan = match_state(ours, theirs, rename=renames, layout=said)

    text = str(refused.value)
    assert "'blocks.alpha': stacked  # axis 0 numbers the layers" in text
    assert f"- ['{renames[0][0]}', '{renames[0][1]}']  # or " in text
    found = carried(plan, source)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_a_tensor_that_is_as_long_as_there_are_layers_is_no_stack_of_others() -> None:
    """Its slices have another shape, or its name contradicts, or it belongs to a known module."""
    ours, _ = layered(fc1_weight=values(N_LAYERS, 12, 8))
    for name, shape, kind in (
        ("blocks.fc1_weight", (N_LAYERS, 9, 8), "Blocks"),
        ("blocks.fc1_bias", (N_LAYERS, 12, 8), "Blocks"),
        ("decoder.blocks.attn.fc1_weight", (N_LAYERS, 12, 8), "Conv1d"),
        ("blocks.fc1_weight", (N_LAYERS + 1, 12, 8), "Blocks"),
    ):
        with pytest.raises(MappingError, match="no place in the candidate"):
            match_state(ours, tensors((name, shape), module_type=kind))


def test_experts_within_layers_are_stacked_layer_by_layer() -> None:
    experts = values(2, N_LAYERS, 12, 8)
    names = {f"layers.{i}.experts.{j}.up.weight": experts[i, j] for i in (0, 1) for j in range(3)}
    stacks = {f"layers.{i}.experts.up_weight": experts[i] for i in (0, 1)}
    ours = tensors(*((name, array.shape) for name, array in names.items()))
    theirs = tensors(*((n, a.shape) for n, a in stacks.items()), module_type="Experts")

    found = carried(match_state(ours, theirs), names)

    for name, array in stacks.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
