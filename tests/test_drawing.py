"""What frameworks draw goes through one source, and the run stays the bare one: asked of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from portalign import frameworks
from portalign.frameworks.base import Framework
from portalign.records import Array, Precision

FRAMEWORKS = ["torch", "paddle"]
# paddle 3.3.1 says so whenever a batch norm trains.
pytestmark = pytest.mark.filterwarnings("ignore:When training, we now always track global mean")


@dataclass
class Source:
    """Writes draws down and gives back what it was given."""

    instead: Callable[[Array], Array] | None = None
    seen: list[tuple[str, str, tuple[float, ...], Array]] = field(default_factory=list)
    unknowns: list[tuple[str, str]] = field(default_factory=list)

    def draw(self, path: str, kind: str, terms: tuple[float, ...], own: Array) -> Array | None:
        self.seen.append((path, kind, terms, own))
        return self.instead(own) if self.instead else None

    def unknown(self, path: str, what: str) -> None:
        self.unknowns.append((path, what))


def _library(name: str) -> Any:
    if name == "torch":
        import torch

        return torch
    import paddle

    return paddle


def _model(name: str, function: Callable[[Any], Any] | None = None) -> Any:
    """Convolution, batch norm, dropout by module and by function, in train mode."""
    library = _library(name)
    nn, two = library.nn, "2d" if name == "torch" else "2D"
    base = nn.Module if name == "torch" else nn.Layer

    class Model(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv = getattr(nn, f"Conv{two}")(3, 4, 3)
            self.norm = getattr(nn, f"BatchNorm{two}")(4)
            self.drop = nn.Dropout(0.25)

        def forward(self, x: Any) -> Any:
            if function is not None:
                return function(x)
            x = self.drop(self.norm(self.conv(x)))
            return nn.functional.dropout(x, 0.5, training=self.training).mean([2, 3])

    framework = frameworks.load(name)
    framework.prepare(seed=5, threads=1, device="cpu")
    model = Model()
    framework.set_mode(model, "train")
    return model


def _input(framework: Framework, *shape: int) -> Any:
    values = np.random.default_rng(0).normal(size=shape or (2, 3, 6, 6)).astype(np.float32)
    return framework.tensor(values, precision=Precision.NATIVE)


def _trained(name: str, source: Source | None) -> list[Array]:
    """Output, gradients and buffers of one iteration."""
    framework, model = frameworks.load(name), _model(name)

    def run() -> Any:
        output = framework.forward(model, {"x": _input(framework)}, grad=True)
        (output * output).sum().backward()
        return output

    if source is None:
        output = run()
    else:
        with framework.drawing(model, source):
            output = run()
    state = [tensor for _, tensor in framework.state(model)]
    gradients = [tensor.grad for tensor in state if tensor.grad is not None]
    return [np.array(framework.numpy(t)) for t in (output, *gradients, *state)]


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_run_whose_draws_are_written_down_is_bitwise_equal_to_the_bare_one(name: str) -> None:
    source = Source()

    bare, drawn = _trained(name, None), _trained(name, source)

    assert [a.tobytes() for a in bare] == [a.tobytes() for a in drawn]
    assert [(path, kind, terms) for path, kind, terms, _ in source.seen] == [
        ("drop", "keep", (0.75,)),
        ("", "keep", (0.5,)),
    ]
    assert all(own.dtype == bool and own.shape == (2, 4, 4, 4) for *_, own in source.seen)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_other_numbers_in_a_draws_place_change_output_and_gradient_alike(name: str) -> None:
    dropped = _trained(name, Source(np.zeros_like))
    kept = _trained(name, Source(np.ones_like))

    assert not dropped[0].any()  # output
    assert not dropped[1].any()  # gradient of the first weight
    assert kept[0].any() and kept[1].any()


def _drop_path(library: Any, x: Any) -> Any:
    keep = library.full([2, 3, 6, 6], 0.5)
    return x * library.bernoulli(keep)


# What a model may call: kind and terms that the source is told, by framework where they differ.
_DRAWS: dict[str, tuple[Callable[[Any, Any], Any], tuple[str, tuple[float, ...]]]] = {
    "channels": (
        lambda lib, x: lib.nn.functional.dropout2d(x, 0.25, True),
        ("keep or uniform", (0.75,)),
    ),
    "bernoulli": (_drop_path, ("keep", (0.5,))),
    "rand": (lambda lib, x: x * lib.rand([2, 1, 1, 1]), ("uniform", (0.0, 1.0))),
    "randn": (lambda lib, x: x + lib.randn([2, 1, 1, 1]), ("normal", (0.0, 1.0))),
    "uniform_": (
        lambda lib, x: x * lib.zeros([2]).uniform_(-1.0, 3.0).sum(),
        ("uniform", (-1.0, 3.0)),
    ),
    "normal_": (lambda lib, x: x * lib.zeros([2]).normal_(1.0, 2.0).sum(), ("normal", (1.0, 2.0))),
}


@pytest.mark.parametrize("draw", _DRAWS)
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_every_usual_draw_is_told_and_can_be_replaced(name: str, draw: str) -> None:
    library, framework = _library(name), frameworks.load(name)
    function, (kind, terms) = _DRAWS[draw]
    model = _model(name, lambda x: function(library, x))
    first, again = Source(), Source()
    if kind == "keep or uniform":  # paddle drops channels by uniform numbers
        kind, terms = (("keep", terms), ("uniform", (0.0, 1.0)))[name == "paddle"]

    def run(source: Source) -> Array:
        with framework.drawing(model, source):
            return np.array(
                framework.numpy(framework.forward(model, {"x": _input(framework)}, grad=False))
            )

    output = run(first)
    given = iter([own for *_, own in first.seen])
    again.instead = lambda own: next(given)

    assert [(kind_, terms_) for _, kind_, terms_, _ in first.seen] == [(kind, terms)]
    assert not first.unknowns
    assert (run(again) == output).all()
    assert (run(Source()) != output).any()


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_draw_that_can_not_be_replaced_is_told_by_name_and_place(name: str) -> None:
    library, framework, source = _library(name), frameworks.load(name), Source()
    model = _model(
        name, lambda x: x[library.randperm(2)] + library.nn.functional.rrelu(x, training=False)
    )

    with framework.drawing(model, source):
        framework.forward(model, {"x": _input(framework)}, grad=False)

    assert source.unknowns == [("", "randperm")]  # rrelu draws in training only
    assert not source.seen


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_inner_dropout_of_attention_is_replayed_and_of_a_recurrent_layer_at_least_told(
    name: str,
) -> None:
    library, framework = _library(name), frameworks.load(name)
    framework.prepare(seed=5, threads=1, device="cpu")
    attention = library.nn.TransformerEncoderLayer(6, 2, 8, 0.25)
    recurrent = library.nn.LSTM(6, 5, 2, dropout=0.5)
    sources = {attention: Source(), recurrent: Source()}

    for model, source in sources.items():
        framework.set_mode(model, "train")
        with framework.drawing(model, source):
            model(_input(framework, 4, 2, 6))

    assert {path for path, *_ in sources[attention].seen} == {
        "self_attn",
        "dropout",
        "dropout1",
        "dropout2",
    }
    assert {terms for _, _, terms, _ in sources[attention].seen} == {(0.75,)}
    told = [terms for _, _, terms, _ in sources[recurrent].seen], sources[recurrent].unknowns
    assert told == (([(0.5,)], []) if name == "torch" else ([], [("", "rnn")]))


def test_paddle_scales_as_its_dropout_mode_says_and_drops_in_place() -> None:
    import paddle
    from paddle.nn import functional as F

    framework, x = frameworks.load("paddle"), paddle.ones([4])
    half = Source(lambda own: np.array([True, False, True, False]))

    with framework.drawing(paddle.nn.Identity(), half):
        unscaled = F.dropout(x, 0.5, mode="downscale_in_infer")
        scaled = F.dropout(x, 0.5)
        paddle._C_ops.dropout_(x, None, 0.5, False, "upscale_in_train", 0, False)

    assert unscaled.tolist() == [1, 0, 1, 0]
    assert scaled.tolist() == x.tolist() == [2, 0, 2, 0]


def test_torch_fused_dropout_of_a_gpu_is_replaced_with_its_mask() -> None:
    import torch

    framework, x = frameworks.load("torch"), torch.ones(4, requires_grad=True)
    half = Source(lambda own: np.array([True, False, True, False]))

    with framework.drawing(torch.nn.Identity(), half):
        output, mask = torch.native_dropout(x, 0.5, True)
        output.sum().backward()

    assert output.tolist() == [2, 0, 2, 0]
    assert mask.tolist() == [True, False, True, False]
    assert x.grad is not None and x.grad.tolist() == [2, 0, 2, 0]
