"""Inputs that differ without effect are forgiven, others aren't; where gradients end is found."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from portalign.compare.absent import absent_gradients
from portalign.compare.harmless import forgive, harmless_inputs
from portalign.compare.pairs import compare
from portalign.mapping.layouts import AS_IS
from portalign.mapping.pair import Pair, Pairing
from portalign.records import Kind, Role, TensorKey, TensorRecord
from portalign.results import Comparison, Outcome, Unpaired

Values = npt.NDArray[np.float64]
ONE, TWO = np.ones(4), np.full(4, 2.0)
NAN = np.full(4, np.nan)


def _pair(
    path: str, slot: str, order: int, sides: tuple[Values, Values], alias: int | None
) -> Pair:
    key = TensorKey(Kind.ACTIVATION, path, slot)
    records = [TensorRecord(key, order, values, "float64", "", alias) for values in sides]
    return Pair(records[0], records[1], AS_IS, "test", f"{path} {slot}")


def _compared(pairs: list[Pair]) -> list[Comparison]:
    return [
        compare(p.reference.array, p.candidate.array, key=p.reference.key, label=p.label)
        for p in pairs
    ]


def _outcomes(pairs: list[Pair]) -> list[Outcome]:
    comparisons = _compared(pairs)
    roots = harmless_inputs(pairs, comparisons)
    return [one.outcome for one in forgive(pairs, comparisons, roots)]


def test_an_input_without_effect_is_forgiven_wherever_the_same_tensor_goes() -> None:
    pairs = [
        _pair("a", "in.1", 0, (ONE, TWO), None),
        _pair("a", "out.0", 1, (ONE, ONE), None),
        _pair("b", "in.1", 2, (ONE, TWO), 0),
        _pair("b", "out.0", 3, (ONE, ONE), None),
        _pair("c", "out.0", 4, (ONE, TWO), None),
    ]

    assert _outcomes(pairs) == [Outcome.PASS] * 4 + [Outcome.FAIL]


@pytest.mark.parametrize("returned", [(ONE, TWO), (NAN, NAN)], ids=["wrong", "undecided"])
def test_an_input_is_not_forgiven_unless_the_output_passes(returned: tuple[Values, Values]) -> None:
    pairs = [
        _pair("a", "in.1", 0, (ONE, TWO), None),
        _pair("a", "out.0", 1, returned, None),
    ]

    assert _outcomes(pairs)[0] is Outcome.FAIL


def test_one_module_that_ignores_a_tensors_values_does_not_excuse_the_others() -> None:
    """A rotary embedding takes the hidden states for their shape only; the block uses them."""
    pairs = [
        _pair("rotary", "in.0", 0, (ONE, TWO), None),
        _pair("rotary", "out.0", 1, (ONE, ONE), None),
        _pair("block", "in.0", 2, (ONE, TWO), 0),
        _pair("block", "out.0", 3, (ONE, TWO), None),
    ]

    assert harmless_inputs(pairs, _compared(pairs)) == frozenset()
    assert _outcomes(pairs) == [Outcome.FAIL, Outcome.PASS, Outcome.FAIL, Outcome.FAIL]


def test_a_call_does_not_speak_against_a_tensor_where_it_got_the_right_one() -> None:
    pairs = [
        _pair("rotary", "in.0", 0, (ONE, TWO), None),
        _pair("rotary", "out.0", 1, (ONE, ONE), None),
        _pair("block", "in.0", 2, (ONE, ONE), 0),
        _pair("block", "out.0", 3, (ONE, TWO), None),
    ]

    assert harmless_inputs(pairs, _compared(pairs)) == {0}


def _masked(*, is_inherited: bool) -> list[Pair]:
    """Two attentions share a mask of another constant; the second returns wrong.

    Its hidden states are wrong too: behind a module that went wrong, or by the glue before both.
    """
    hidden = [_pair("attend.1", "in.0", 5, (ONE, TWO), None)]
    if is_inherited:
        hidden = [_pair("mlp", "out.0", 4, (ONE, TWO), None), *hidden]
    return [
        _pair("attend.0", "in.1", 0, (ONE, TWO), None),
        _pair("attend.0", "out.0", 1, (ONE, ONE), None),
        *hidden,
        _pair("attend.1", "in.1", 6, (ONE, TWO), 0),
        _pair("attend.1", "out.0", 7, (ONE, TWO), None),
    ]


@pytest.mark.parametrize("is_inherited", [True, False])
def test_a_mask_is_not_blamed_for_what_an_inherited_difference_explains(is_inherited: bool) -> None:
    pairs = _masked(is_inherited=is_inherited)

    roots = harmless_inputs(pairs, _compared(pairs))

    assert roots == ({0} if is_inherited else frozenset())


def test_an_input_of_a_module_without_compared_outputs_is_not_forgiven() -> None:
    assert _outcomes([_pair("a", "in.1", 0, (ONE, TWO), None)]) == [Outcome.FAIL]


def test_gradients_end_at_the_last_module_that_lacks_one() -> None:
    pairs = [_pair(path, "out.0", at, (ONE, ONE), None) for at, path in enumerate("ab")]
    lacking = [Unpaired(Role.REFERENCE.value, _gradient(path), "", True) for path in "ab"]
    consumers = {("a", "out.0", 0): ("b",), ("b", "out.0", 0): ("c",)}

    found = absent_gradients(Pairing(tuple(pairs), tuple(lacking)), consumers, grafted=())

    assert [(path, one.label) for path, one in found.items()] == [("b", "backward after b")]


def test_a_gradient_that_stands_alone_on_both_sides_is_not_absent() -> None:
    pairs = (_pair("a", "out.0", 0, (ONE, ONE), None),)
    alone = tuple(Unpaired(role.value, _gradient("a"), "", True) for role in Role)

    assert absent_gradients(Pairing(pairs, alone), {}, grafted=()) == {}


ZERO = np.zeros(4)


@pytest.mark.parametrize(
    ("gradients", "is_arriving", "is_absent"),
    [
        ((ONE, ZERO), False, True),
        ((ONE, ZERO), True, False),
        ((ONE, TWO), False, False),
        ((ZERO, ZERO), False, False),
    ],
    ids=["zeros nobody sent", "zeros that were sent", "other values", "zeros on both sides"],
)
def test_zeros_that_no_one_sends_to_an_output_are_an_absent_gradient(
    gradients: tuple[Values, Values], is_arriving: bool, is_absent: bool
) -> None:
    """Paddle fills up the gradient of a recurrent state that was detached."""
    forward, backward = _pair("a", "out.0", 0, (ONE, ONE), None), _gradients("a", gradients)
    arrived = [forward, *([backward] if is_arriving else [])]
    grafted = {pair.reference.key for pair in arrived}

    found = absent_gradients(Pairing((forward, backward), ()), {}, grafted=grafted)

    assert list(found) == (["a"] if is_absent else [])


def _gradients(path: str, sides: tuple[Values, Values]) -> Pair:
    records = [TensorRecord(_gradient(path), 9, values, "float64") for values in sides]
    return Pair(records[0], records[1], AS_IS, "test", f"grad {path} out.0")


def _gradient(path: str) -> TensorKey:
    return TensorKey(Kind.GRADIENT, path, "out.0")
