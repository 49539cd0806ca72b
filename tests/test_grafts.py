"""Grafting puts other tensors in at every module: exactly those, and nothing else changes."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from portalign import frameworks
from portalign.frameworks.base import Framework
from portalign.frameworks.leaves import leaves, replaced
from portalign.records import Kind, Precision

FRAMEWORKS = ["torch", "paddle"]
Place = tuple[Kind, str, str, int]
Named = namedtuple("Named", ["hidden", "rest"])


@dataclass(frozen=True)
class Frozen:
    hidden: Any
    note: str = "kept"
    made: int = field(default=7, init=False)


class Listed(list):  # type: ignore[type-arg]
    """A list type of a model's own."""


class Own(tuple):  # type: ignore[type-arg]
    """A tuple type with a constructor of its own."""

    note: str

    def __new__(cls, hidden: Any, rest: Any) -> Own:
        made = super().__new__(cls, (hidden, rest))
        made.note = "kept"
        return made


class Closed(dict):  # type: ignore[type-arg]
    """A dict that takes nothing new once it is made."""

    def __setitem__(self, name: object, value: object) -> None:
        raise KeyError(f"no {name!r} here")


def _library(name: str) -> Any:
    return __import__(name)


def _base(name: str) -> Any:
    return _library(name).nn.Module if name == "torch" else _library(name).nn.Layer


def _model(name: str) -> Any:
    """Nested outputs of several types, a module called twice, one that returns its parameter."""
    library, base = _library(name), _base(name)
    functional = library.nn.functional

    class Inner(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.fc = library.nn.Linear(4, 4)

        def forward(self, x: Any) -> Any:
            hidden = self.fc(x)
            return Named(hidden, {"pair": (hidden * 2, [hidden + 1, None]), "kept": Frozen(hidden)})

    class Table(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            linear = library.nn.Linear(4, 4)
            self.weight = linear.weight

        def forward(self) -> Any:
            return self.weight

    class Model(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = Inner()
            self.table = Table()
            self.head = library.nn.Linear(4, 4)

        def forward(self, x: Any) -> Any:
            first = self.inner(x)
            second = self.inner(functional.relu(first.hidden + first.rest["pair"][1][0]))
            assert first.rest["kept"].note == "kept"
            return self.head(library.matmul(second.rest["kept"].hidden, self.table()))

    framework = frameworks.load(name)
    framework.prepare(seed=5, threads=1, device="cpu")
    model = Model()
    framework.set_mode(model, "eval")
    return model


@dataclass
class Ran:
    """One forward and backward: what passed the doors, and what came of it."""

    seen: dict[Place, np.ndarray]
    output: np.ndarray
    gradients: dict[str, np.ndarray]


def _run(name: str, replacements: dict[Place, np.ndarray] | None, model: Any = None) -> Ran:
    framework, seen = frameworks.load(name), {}
    model = model or _model(name)

    def sink(kind: Kind, path: str, slot: str, call: int, tensor: Any, module_type: str) -> None:
        seen[kind, path, slot, call] = np.array(framework.numpy(tensor))

    def replace(kind: Kind, path: str, slot: str, call: int) -> np.ndarray | None:
        return (replacements or {}).get((kind, path, slot, call))

    if replacements is None:
        return _bare(framework, model, seen)
    with framework.graft(model, replace, sink, gradients=True):
        return _bare(framework, model, seen)


def _bare(framework: Framework, model: Any, seen: dict[Place, np.ndarray]) -> Ran:
    values = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    x = framework.tensor(values, precision=Precision.NATIVE)
    output = framework.forward(model, {"x": x}, grad=True)
    (output * output).sum().backward()
    gradients = {
        name: np.array(framework.numpy(tensor.grad)) for name, tensor in framework.state(model)
    }
    return Ran(seen, np.array(framework.numpy(output)), gradients)


def _random(places: dict[Place, np.ndarray], wanted: Callable[[Place], bool]) -> Any:
    random = np.random.default_rng(1)
    return {
        place: random.normal(size=array.shape).astype(np.float32)
        for place, array in places.items()
        if wanted(place)
    }


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_without_replacements_the_run_is_bitwise_the_bare_one(name: str) -> None:
    bare, grafted = _run(name, None), _run(name, {})

    np.testing.assert_array_equal(grafted.output, bare.output)
    for key, gradient in bare.gradients.items():
        np.testing.assert_array_equal(grafted.gradients[key], gradient, err_msg=key)
    assert {place[0] for place in grafted.seen} == {Kind.ACTIVATION, Kind.GRADIENT}


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_modules_own_values_in_their_places_change_nothing(name: str) -> None:
    own = _run(name, {})

    again = _run(name, own.seen)

    np.testing.assert_array_equal(again.output, own.output)
    assert again.seen.keys() == own.seen.keys()
    for place, array in own.seen.items():
        np.testing.assert_array_equal(again.seen[place], array, err_msg=str(place))


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_downstream_sees_exactly_what_was_put_in(name: str) -> None:
    plain = _run(name, {}).seen
    put = _random(plain, lambda place: place[0] is Kind.ACTIVATION)

    seen = _run(name, put).seen

    hidden = put[Kind.ACTIVATION, "inner.fc", "out.0", 0]
    np.testing.assert_array_equal(seen[Kind.ACTIVATION, "inner", "out.hidden", 0], hidden)
    np.testing.assert_array_equal(seen[Kind.ACTIVATION, "inner", "out.rest.pair.0", 0], hidden * 2)
    np.testing.assert_array_equal(seen[Kind.ACTIVATION, "inner", "out.rest.kept.hidden", 0], hidden)
    # The glue in front of the second call got what the first call was made to return.
    first = put[Kind.ACTIVATION, "inner", "out.hidden", 0]
    beside = put[Kind.ACTIVATION, "inner", "out.rest.pair.1.0", 0]
    np.testing.assert_array_equal(
        seen[Kind.ACTIVATION, "inner", "in.0", 1], np.maximum(first + beside, 0)
    )


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_infinities_are_put_in_as_they_are(name: str) -> None:
    place = (Kind.ACTIVATION, "inner.fc", "out.0", 0)
    values = np.full((3, 4), -np.inf, np.float32)

    seen = _run(name, {place: values}).seen

    np.testing.assert_array_equal(seen[Kind.ACTIVATION, "inner", "out.hidden", 0], values)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_gradients_are_replaced_and_flow_on_from_there(name: str) -> None:
    place = (Kind.GRADIENT, "head", "out.0", 0)
    plain = _run(name, {})
    put = np.random.default_rng(2).normal(size=plain.seen[place].shape).astype(np.float32)

    ran = _run(name, {place: put})

    np.testing.assert_array_equal(ran.seen[place], plain.seen[place])  # what arrived
    np.testing.assert_allclose(
        ran.gradients["head.bias"],
        put.sum(axis=0),
        rtol=1e-6,  # three roundings of float32
        atol=1e-7,
    )
    assert np.abs(ran.gradients["inner.fc.bias"] - plain.gradients["inner.fc.bias"]).max() > 1e-3


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_gradient_passes_a_replaced_activation(name: str) -> None:
    """Its values are another's, its place in the graph is its own."""
    plain = _run(name, {})
    put = {
        place: array * 2 for place, array in plain.seen.items() if place[1:] == ("head", "in.0", 0)
    }

    ran = _run(name, put)

    assert np.abs(ran.gradients["inner.fc.weight"]).max() > 0
    np.testing.assert_array_equal(
        ran.seen[Kind.ACTIVATION, "inner.fc", "out.0", 0],
        plain.seen[Kind.ACTIVATION, "inner.fc", "out.0", 0],
    )


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_calls_of_one_module_are_replaced_one_by_one(name: str) -> None:
    plain = _run(name, {}).seen
    place = (Kind.ACTIVATION, "inner.fc", "out.0", 1)

    seen = _run(name, {place: np.zeros((3, 4), np.float32)}).seen

    first, second = ((Kind.ACTIVATION, "inner", "out.hidden", call) for call in (0, 1))
    np.testing.assert_array_equal(seen[first], plain[first])
    assert not seen[second].any()


@pytest.mark.parametrize("name", FRAMEWORKS)
@pytest.mark.parametrize("verb", ["graft", "watch"])
def test_a_hook_on_a_parameter_ends_with_the_block(name: str, verb: str) -> None:
    """A module that returns its parameter: the tensor outlives the graph, its hook must not."""
    framework, model, seen = frameworks.load(name), _model(name), []

    def sink(*place: Any) -> None:
        seen.append(place[1])

    more = {"replacements": lambda *_: None} if verb == "graft" else {}
    with getattr(framework, verb)(model, sink=sink, gradients=True, **more):
        _bare(framework, model, {})
    n_seen = len(seen)
    _bare(framework, model, {})

    assert "table" in seen
    assert len(seen) == n_seen


def _rebuilt_cases() -> dict[str, Any]:
    import torch
    from transformers.modeling_outputs import BaseModelOutputWithPooling

    ones = torch.ones(2, 3)
    output = BaseModelOutputWithPooling(last_hidden_state=ones, hidden_states=(ones, ones))
    return {
        "named tuple": Named(ones, {"pair": (ones, [ones])}),
        "frozen dataclass": Frozen(ones),
        "tuple of a type": Own(ones, ones),
        "list of a type": Listed([ones, None, "text"]),
        "transformers": output,
        "torch's own": torch.max(ones, dim=1),
        "tuple with None": (None, ones),
    }


@pytest.mark.parametrize("case", _rebuilt_cases())
def test_containers_keep_their_types(case: str) -> None:
    import torch

    value = _rebuilt_cases()[case]

    def is_tensor(leaf: object) -> bool:
        return isinstance(leaf, torch.Tensor)

    new = replaced(value, lambda slot, leaf: leaf + 1 if is_tensor(leaf) else leaf)

    assert type(new) is type(value)
    assert repr(type(new)) == repr(type(value))
    old_leaves, new_leaves = (list(leaves(each, is_tensor)) for each in (value, new))
    assert [slot for slot, _ in new_leaves] == [slot for slot, _ in old_leaves]
    for (_, a), (_, b) in zip(old_leaves, new_leaves, strict=True):
        torch.testing.assert_close(b, a + 1)


def test_rebuilt_outputs_keep_what_is_no_tensor() -> None:
    import torch

    cases = _rebuilt_cases()
    output = replaced(cases["transformers"], lambda slot, leaf: torch.zeros(1))
    frozen = replaced(cases["frozen dataclass"], lambda s, leaf: 0 if s == "hidden" else leaf)

    assert output.last_hidden_state is output["last_hidden_state"]
    assert output.pooler_output is None
    assert (frozen.hidden, frozen.note, frozen.made) == (0, "kept", 7)


def test_a_container_that_can_not_be_built_anew_is_itself() -> None:
    value = Closed(hidden=1.0)

    assert replaced(value, lambda slot, leaf: 2.0) is value
    assert replaced(dict(value), lambda slot, leaf: 2.0) == {"hidden": 2.0}
    assert replaced(Own(1.0, 2.0), lambda slot, leaf: leaf).note == "kept"
    assert replaced(Own(1.0, 2.0), lambda slot, leaf: 3.0).note == "kept"


def test_a_container_of_which_nothing_changes_is_itself() -> None:
    for value in _rebuilt_cases().values():
        assert replaced(value, lambda slot, leaf: leaf) is value


def test_a_container_that_holds_itself_is_left_alone() -> None:
    value: list[Any] = [1]
    value.append(value)

    new = replaced(value, lambda slot, leaf: 2)

    assert new[0] == 2


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_tensor_that_enters_twice_stays_one_tensor(name: str) -> None:
    """Torch's attention takes another path unless query, key and value are one object."""
    framework = frameworks.load(name)
    found: list[bool] = []

    class Attention(_base(name)):  # type: ignore[misc]
        def forward(self, query: Any, key: Any, *, value: Any) -> Any:
            found.append(query is key and key is value)
            return query + value

    def put(kind: Kind, path: str, slot: str, call: int) -> np.ndarray:
        return np.full(3, 2.0 if slot == "in.value" and call else 1.0, np.float32)

    x = framework.tensor(np.zeros(3, np.float32), precision=Precision.NATIVE)
    model = Attention()
    with framework.graft(model, put, lambda *_: None):
        model(x, x, value=x)
        model(x, x, value=x)

    assert found == [True, False]  # the second time another value is put in
