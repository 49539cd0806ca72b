"""A twin by segments: the same numbers as a whole twin, and the model's own tensors untouched."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from portalign import frameworks
from portalign.frameworks.base import Framework
from portalign.records import Precision

IMAGES = np.random.default_rng(1).normal(size=(4, 3, 6, 6)).astype(np.float32)
TOKENS = np.random.default_rng(2).integers(0, 11, size=(2, 5))


def _torch_parts() -> tuple[Any, Any, Any, Any]:
    import torch

    return torch, torch.nn, torch.nn.Module, lambda value: torch.nn.Parameter(torch.tensor(value))


def _paddle_parts() -> tuple[Any, Any, Any, Any]:
    import paddle

    def parameter(value: list[float]) -> Any:
        start = paddle.nn.initializer.Assign(np.float32(value))
        return paddle.create_parameter([len(value)], "float32", default_initializer=start)

    return paddle, paddle.nn, paddle.nn.Layer, parameter


def _parts(name: str) -> tuple[Any, Any, Any, Any]:
    return _torch_parts() if name == "torch" else _paddle_parts()


def _speaker(name: str) -> Any:
    """Tokens in, scores out; the head is the embedding's weight, read by the parent."""
    library, nn, module, parameter = _parts(name)

    class Speaker(module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(11, 8)
            self.tied = nn.Linear(8, 8)
            self.tied_again = self.tied
            self.norm = nn.LayerNorm(8)
            self.scales = nn.ParameterList([parameter([0.3] * 8), parameter([0.7] * 8)])
            self.shift = parameter([0.1] * 8)
            self.table = library.arange(8, dtype=library.float32) / 7
            self.register_buffer("ramp", library.arange(8, dtype=library.float32) / 3)

        def forward(self, tokens: Any) -> Any:
            h = self.embedding(tokens) * self.scales[0] + self.shift
            h = self.tied_again(self.norm(h) * self.scales[1]) + self.tied.bias + self.ramp
            weight = self.embedding.weight
            return library.matmul(h * self.table, weight.T if name == "torch" else weight.t())

    return Speaker()


def _viewer(name: str) -> Any:
    """Images in, features out, through statistics that train mode rewrites."""
    _, nn, _, _ = _parts(name)
    two = "2d" if name == "torch" else "2D"
    conv, norm, pool = (getattr(nn, f"{kind}{two}") for kind in ("Conv", "BatchNorm", "AvgPool"))
    shared = norm(5)
    return nn.Sequential(conv(3, 5, 3), shared, nn.ReLU(), shared, pool(2))


def _listener(name: str) -> Any:
    """Tokens in, states out, through weights that an RNN keeps in a list."""
    _, nn, _, _ = _parts(name)
    return nn.Sequential(nn.Embedding(11, 8), nn.LSTM(8, 8))


MODELS = {"speaker": (_speaker, TOKENS), "viewer": (_viewer, IMAGES), "rnn": (_listener, TOKENS)}
CASES = [
    ("speaker", "eval", "float32"),
    ("speaker", "train", "bfloat16"),
    ("viewer", "eval", "bfloat16"),
    ("viewer", "train", "float32"),
    ("rnn", "eval", "float32"),  # paddle 3.3.1 can't bring an LSTM to bfloat16
]


def _case(name: str, kind: str, mode: str, dtype: str) -> tuple[Framework, Any, np.ndarray]:
    framework = frameworks.load(name)
    framework.prepare(seed=0, threads=1, device="cpu")
    build, data = MODELS[kind]
    model = build(name)
    if dtype != "float32":
        library = _parts(name)[0]
        model.to(dtype=getattr(library, dtype))
    framework.set_mode(model, mode)
    return framework, model, data


@contextmanager
def _whole(framework: Framework, model: Any, other: str) -> Iterator[tuple[str, ...]]:
    notes = framework.lift(model, other_framework=other)
    with framework.lifted():
        yield notes


@contextmanager
def _segments(framework: Framework, model: Any, other: str) -> Iterator[tuple[str, ...]]:
    with framework.segments(model, other_framework=other) as notes, framework.lifted():
        yield notes


def _seen(framework: Framework, model: Any, data: np.ndarray, how: Any) -> dict[str, np.ndarray]:
    """Everything that passes a module's door in the twin, and the notes."""
    found: dict[str, np.ndarray] = {}

    def sink(kind: Any, path: str, slot: str, call: int, tensor: Any, module_type: str) -> None:
        found[f"{path} {slot} {call}"] = np.array(framework.numpy(tensor))

    other = "paddle" if framework.name == "torch" else "torch"
    with how(framework, model, other) as notes, framework.watch(model, sink):
        argument = "tokens" if hasattr(model, "embedding") else "input"
        tensor = framework.tensor(data, precision=Precision.FLOAT64)
        framework.forward(model, {argument: tensor}, grad=False)
    found["notes"] = np.array(notes)
    return found


@pytest.mark.filterwarnings("ignore:When training, we now always track:UserWarning")  # paddle's
@pytest.mark.parametrize(("kind", "mode", "dtype"), CASES)
@pytest.mark.parametrize("name", ["torch", "paddle"])
def test_segments_give_every_bit_of_a_whole_twin(
    name: str, kind: str, mode: str, dtype: str
) -> None:
    framework, model, data = _case(name, kind, mode, dtype)
    before = {key: (t, framework.numpy(t).copy()) for key, t in framework.state(model)}

    parts = _seen(framework, model, data, _segments)

    for key, tensor in framework.state(model):  # the very same tensors, with the same bytes
        assert tensor is before[key][0]
        if "tracked" not in key:  # torch counts the calls of a norm, of a twin too
            assert framework.numpy(tensor).tobytes() == before[key][1].tobytes(), key
    whole = _seen(framework, model, data, _whole)
    assert {array.dtype.name for key, array in parts.items() if "out" in key} == {"float64"}
    for key, array in whole.items():
        if key != "notes":
            assert array.tobytes() == parts[key].tobytes(), key


@pytest.mark.parametrize("name", ["torch", "paddle"])
def test_a_lifted_tensor_lives_no_longer_than_its_use(name: str) -> None:
    framework, model, _ = _case(name, "speaker", "eval", "float32")

    with framework.segments(model, other_framework=""):
        parameter, buffer = (weakref.ref(t) for t in (model.embedding.weight, model.ramp))
        gc.collect()

        assert parameter() is None
        assert buffer() is model.ramp  # kept: modules write their buffers


@pytest.mark.parametrize("name", ["torch", "paddle"])
def test_the_model_is_its_own_again_after_a_failure(name: str) -> None:
    framework, model, _ = _case(name, "viewer", "eval", "float32")
    before = {key: id(tensor) for key, tensor in framework.state(model)}

    with pytest.raises(ZeroDivisionError), framework.segments(model, other_framework=""):
        1 / 0  # noqa: B018

    assert {key: id(tensor) for key, tensor in framework.state(model)} == before
