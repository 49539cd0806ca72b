"""Watching must not change the run, and must see everything: the same questions to both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from portalign import frameworks
from portalign.frameworks.base import Framework
from portalign.records import Kind, Precision

FRAMEWORKS = ["torch", "paddle"]


@dataclass
class Seen:
    kind: Kind
    path: str
    slot: str
    call: int
    values: np.ndarray
    module_type: str


def _library(name: str) -> Any:
    if name == "torch":
        import torch

        return torch
    import paddle

    return paddle


def _base(name: str) -> Any:
    library = _library(name)
    return library.nn.Module if name == "torch" else library.nn.Layer


def _small_model(name: str) -> Any:
    """Repeated calls of one module, nested outputs, an in-place op and a tied weight."""
    library = _library(name)
    relu_in_place = library.relu_ if name == "torch" else library.nn.functional.relu_

    class Block(_base(name)):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.fc = library.nn.Linear(6, 6)
            self.norm = library.nn.LayerNorm(6)

        def forward(self, x: Any, *, scale: Any) -> dict[str, Any]:
            hidden = self.norm(self.fc(x) * scale)
            return {"hidden": hidden, "extras": (hidden * 2, [hidden + 1, None, "text"])}

    class Model(_base(name)):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.block = Block()
            self.head = library.nn.Linear(6, 6)
            self.tied = library.nn.Linear(6, 6)
            self.tied.weight = self.head.weight

        def forward(self, x: Any) -> Any:
            first = self.block(x, scale=x)["hidden"]
            second = self.block(first, scale=x)["extras"][0]
            return relu_in_place(self.tied(self.head(second)))

    framework = frameworks.load(name)
    framework.prepare(seed=3, threads=1, device="cpu")
    model = Model()
    framework.set_mode(model, "eval")
    return model


def _input(framework: Framework) -> Any:
    values = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    return framework.tensor(values, precision=Precision.NATIVE)


def _watched(name: str, *, gradients: bool) -> tuple[list[Seen], np.ndarray, dict[str, np.ndarray]]:
    framework, model, seen = frameworks.load(name), _small_model(name), []

    def sink(kind: Kind, path: str, slot: str, call: int, tensor: Any, module_type: str) -> None:
        values = np.array(framework.numpy(tensor))
        seen.append(Seen(kind, path, slot, call, values, module_type))

    with framework.watch(model, sink, gradients=gradients):
        output, grads = _run(framework, model)
    return seen, output, grads


def _run(framework: Framework, model: Any) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    output = framework.forward(model, {"x": _input(framework)}, grad=True)
    (output * output).sum().backward()
    grads = {
        name: np.array(framework.numpy(tensor.grad))
        for name, tensor in framework.state(model)
        if tensor.grad is not None
    }
    return np.array(framework.numpy(output)), grads


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_watched_run_is_bitwise_equal_to_the_bare_one(name: str) -> None:
    framework = frameworks.load(name)
    bare_output, bare_grads = _run(framework, _small_model(name))

    _, output, grads = _watched(name, gradients=True)

    np.testing.assert_array_equal(output, bare_output)
    assert grads.keys() == bare_grads.keys()
    for key, gradient in bare_grads.items():
        np.testing.assert_array_equal(grads[key], gradient, err_msg=key)


def test_a_module_backward_hook_would_have_changed_the_run() -> None:
    """The twin of the test above: the hook that portalign doesn't use is seen by it."""
    torch = _library("torch")
    changed = []
    for hooked in (False, True):
        torch.manual_seed(0)
        model = torch.nn.Sequential(*(torch.nn.Linear(64, 64) for _ in range(3)))
        x = torch.randn(32, 64, requires_grad=True)
        if hooked:
            model[1].register_full_backward_hook(lambda module, given, got: (given[0] * 1.0000001,))
        (model(x) ** 2).sum().backward()
        changed.append(model[0].weight.grad.clone())

    assert not torch.equal(*changed)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_repeated_calls_nested_outputs_and_keyword_inputs_are_told_apart(name: str) -> None:
    seen, _, _ = _watched(name, gradients=False)

    block = [(s.slot, s.call) for s in seen if s.path == "block"]

    slots = ["in.0", "in.scale", "out.hidden", "out.extras.0", "out.extras.1.0"]
    assert block == [(slot, call) for call in (0, 1) for slot in slots]
    assert {s.module_type for s in seen if s.path == "block.fc"} == {"Linear"}


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_gradients_of_module_outputs_arrive_in_backward_order(name: str) -> None:
    seen, _, _ = _watched(name, gradients=True)

    order = [s.path for s in seen if s.kind is Kind.GRADIENT and s.path in ("head", "tied")]

    assert order == ["tied", "head"]


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_tied_weights_are_named_once_and_followed(name: str) -> None:
    framework = frameworks.load(name)

    structure = framework.structure(_small_model(name))

    ties = {entry.name: entry.tied_to for entry in structure.state if entry.tied_to}
    assert ties == {"tied.weight": "head.weight"}


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_structure_and_state_name_the_same_tensors_in_the_same_order(name: str) -> None:
    framework, model = frameworks.load(name), _small_model(name)

    names = [entry.name for entry in framework.structure(model).state]

    assert names == [state_name for state_name, _ in framework.state(model)]


def test_paddle_running_statistics_are_buffers_and_non_persistent_ones_are_marked() -> None:
    paddle, framework = _library("paddle"), frameworks.load("paddle")
    model = paddle.nn.Sequential(paddle.nn.BatchNorm2D(3))
    model.register_buffer("scratch", paddle.ones([2]), persistable=False)

    state = {entry.name: entry for entry in framework.structure(model).state}

    assert state["0._mean"].kind is Kind.BUFFER
    assert state["0.weight"].kind is Kind.PARAMETER
    assert not state["scratch"].persistent
    assert state["0._mean"].persistent


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_bfloat16_keeps_its_dtype_and_bits(name: str) -> None:
    import ml_dtypes

    framework = frameworks.load(name)
    values = np.array([1.5, -2.25, 3e38, 0.0], dtype=ml_dtypes.bfloat16)

    back = framework.numpy(framework.tensor(values, precision=Precision.NATIVE))

    assert back.dtype == values.dtype
    np.testing.assert_array_equal(back.view(np.uint16), values.view(np.uint16))
