"""The float64 twin: state, inputs, and casts that a model's own code makes."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from portalign import frameworks
from portalign.records import Precision

VALUES = np.random.default_rng(1).normal(0, 1e-2, size=(5, 8)).astype(np.float32)


def _stubborn(name: str) -> Any:
    """A model whose code names float32 wherever it can."""
    if name == "torch":
        import torch
        from torch.nn import functional

        class Torch(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.fc = torch.nn.Linear(8, 8)
                self.norm = torch.nn.LayerNorm(8, eps=7e-4)
                self.table = torch.arange(8, dtype=torch.float32) / 7

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                h = self.norm(self.fc(x)).float().to(torch.float32)
                h = functional.softmax(h, dim=-1, dtype=torch.float32).type(torch.float32)
                return h + torch.arange(8, dtype=torch.float32) / 3 + self.table.to(x.dtype)

        torch.manual_seed(0)
        return Torch()
    import paddle
    from paddle.nn import functional

    class Paddle(paddle.nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.fc = paddle.nn.Linear(8, 8)
            self.norm = paddle.nn.LayerNorm(8, epsilon=7e-4)
            self.table = paddle.arange(8, dtype="float32") / 7

        def forward(self, x: paddle.Tensor) -> paddle.Tensor:
            h = paddle.cast(self.norm(self.fc(x)).astype("float32"), "float32")
            h = functional.softmax(h, axis=-1, dtype="float32").astype(paddle.float32)
            return h + paddle.arange(8, dtype="float32") / 3 + self.table

    paddle.seed(0)
    return Paddle()


def _twin(name: str, weights: dict[str, np.ndarray], other: str) -> np.ndarray:
    framework = frameworks.load(name)
    model = _stubborn(name)
    framework.set_mode(model, "eval")
    framework.load(model, weights.items())
    framework.lift(model, other_framework=other)
    with framework.lifted():
        x = framework.tensor(VALUES, precision=Precision.FLOAT64)
        return np.array(framework.numpy(framework.forward(model, {"x": x}, grad=False)))


def _weights(transpose: bool) -> dict[str, np.ndarray]:
    random = np.random.default_rng(2)
    weight = random.normal(size=(8, 8)).astype(np.float32)
    return {
        "fc.weight": np.ascontiguousarray(weight.T) if transpose else weight,
        "fc.bias": random.normal(0, 1e-2, size=8).astype(np.float32),
        "norm.weight": random.normal(size=8).astype(np.float32),
        "norm.bias": random.normal(size=8).astype(np.float32),
    }


def test_twins_of_models_that_name_float32_agree_across_frameworks() -> None:
    reference = _twin("torch", _weights(transpose=False), "paddle")
    candidate = _twin("paddle", _weights(transpose=True), "torch")

    assert reference.dtype == candidate.dtype == np.float64
    # The quotients of aranges and a layer norm: a few roundings of float64, 2.2e-16 each.
    np.testing.assert_allclose(candidate, reference, rtol=0, atol=1e-14)


def test_without_rounding_the_eps_alike_the_twins_part() -> None:
    """The twin of the test above: paddle keeps eps in float32, torch in double."""
    reference = _twin("torch", _weights(transpose=False), "torch")
    candidate = _twin("paddle", _weights(transpose=True), "torch")

    assert np.abs(candidate - reference).max() > 1e-14


@pytest.mark.parametrize("name", ["torch", "paddle"])
def test_lifting_ends_with_its_block(name: str) -> None:
    framework = frameworks.load(name)
    with framework.lifted():
        pass

    x = framework.tensor(VALUES, precision=Precision.NATIVE)
    library = __import__(name)

    assert framework.numpy(x).dtype == np.float32
    assert framework.numpy(library.ones([2])).dtype == np.float32
    single = library.float32
    assert framework.numpy(library.zeros([2], dtype=single)).dtype == np.float32


def test_the_rounded_constant_is_named() -> None:
    notes = frameworks.load("torch").lift(_stubborn("torch"), other_framework="paddle")

    assert len(notes) == 1
    assert "LayerNorm.eps 0.0007" in notes[0]


def test_low_arrays_are_read_as_they_are_while_a_twin_is_lifted() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from portalign.frameworks.pytorch.modules import from_numpy

    values = np.array([[1.5, -2.0, 3.25]], ml_dtypes.bfloat16)  # three: no whole double

    with frameworks.load("torch").lifted():
        read = from_numpy(values)

    assert read.dtype is torch.bfloat16
    assert read.tolist() == values.tolist()
