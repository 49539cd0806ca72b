"""One small attention classifier in torch and paddle with the same weights, to test training."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

if TYPE_CHECKING:
    import paddle
    import torch
else:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    with warnings.catch_warnings():
        # paddle 3.3.1 warns on import where ccache is missing.
        warnings.filterwarnings("ignore", message=".*ccache", category=UserWarning)
        paddle = pytest.importorskip("paddle", reason="paddle is not installed")

from portalign.frameworks.paddlepaddle import lifting as paddle_lifting
from portalign.frameworks.paddlepaddle import losses as paddle_losses
from portalign.frameworks.pytorch import lifting as torch_lifting
from portalign.frameworks.pytorch import losses as torch_losses
from portalign.frameworks.pytorch import training as torch_training
from portalign.frameworks.trainer import Clipping, Trainer
from portalign.records import Precision
from portalign.request import Spec

VOCABULARY, WIDTH, CLASSES = 11, 6, 3
EPS = 2.0**-17  # a norm eps that float32 holds exactly: what is left to differ is the optimizer's
__all__ = ["build_trainer", "distance", "models", "paddle", "state", "to_numpy", "torch", "train"]
Arrays = dict[str, npt.NDArray[Any]]


class TorchModel(torch.nn.Module):
    """Embedding, one attention layer, norm, head."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(VOCABULARY, WIDTH)
        self.query, self.value = torch.nn.Linear(WIDTH, WIDTH), torch.nn.Linear(WIDTH, WIDTH)
        # No bias: its gradient is zero in theory, and Adam would blow its rounding up to 1e-10.
        self.key = torch.nn.Linear(WIDTH, WIDTH, bias=False)
        self.Norm = torch.nn.LayerNorm(WIDTH, eps=EPS)
        self.head = torch.nn.Linear(WIDTH, CLASSES)

    def forward(self, ids: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.embed(ids)  # [batch, time, width]
        mix = torch.softmax(self.query(x) @ self.key(x).transpose(1, 2), -1)
        return {"logits": self.head(self.Norm(x + mix @ self.value(x)).mean(1).tanh())}


class PaddleModel(paddle.nn.Layer):
    """The same in paddle."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = paddle.nn.Embedding(VOCABULARY, WIDTH)
        self.query, self.value = paddle.nn.Linear(WIDTH, WIDTH), paddle.nn.Linear(WIDTH, WIDTH)
        # No bias: its gradient is zero in theory, and Adam would blow its rounding up to 1e-10.
        self.key = paddle.nn.Linear(WIDTH, WIDTH, bias_attr=False)
        self.Norm = paddle.nn.LayerNorm(WIDTH, epsilon=EPS)
        self.head = paddle.nn.Linear(WIDTH, CLASSES)

    def forward(self, ids: paddle.Tensor) -> dict[str, paddle.Tensor]:
        x = self.embed(ids)
        mix = paddle.nn.functional.softmax(self.query(x) @ self.key(x).transpose([0, 2, 1]), -1)
        return {"logits": self.head(paddle.tanh(self.Norm(x + mix @ self.value(x)).mean(1)))}


def models(*, is_double: bool) -> tuple[TorchModel, PaddleModel]:
    """Both models with the same random weights."""
    first, second = TorchModel(), PaddleModel()
    if is_double:
        first.double()
        second.to(dtype="float64")
    random = np.random.default_rng(0)
    candidates = dict(second.named_parameters())
    for name, parameter in first.named_parameters():
        values = random.normal(size=tuple(parameter.shape)).astype(
            np.float64 if is_double else np.float32
        )
        parameter.data = torch.tensor(values)
        is_linear = values.ndim == 2 and "embed" not in name
        candidates[name].set_value(values.T if is_linear else values)
    return first, second


def batches(n: int, seed: int = 1) -> Iterator[Arrays]:
    """Token ids ``[8, 5]`` and labels ``[8]``, int64."""
    random = np.random.default_rng(seed)
    for _ in range(n):
        yield {
            "ids": random.integers(0, VOCABULARY, (8, 5)),
            "labels": random.integers(0, CLASSES, 8),
        }


def train(
    side: Any,
    model: Any,
    optimizer: Spec,
    *,
    n: int,
    is_double: bool,
    round_scalars: bool = True,
    scheduler: Spec | None = None,
    loss: Spec | None = None,
) -> tuple[list[Clipping], list[Arrays]]:
    """Train `model` for n iterations through the verbs; clipping and gradients of each."""
    framework, losses, lifting = _verbs(side)
    clippings, gradients = [], []
    with lifting.lifted() if is_double else nullcontext():
        trainer: Trainer = side.trainer(
            model,
            optimizer,
            scheduler,
            settings={},
            precision=Precision.FLOAT64 if is_double else Precision.NATIVE,
            round_scalars=round_scalars,
        )
        compute = losses.loss(loss or Spec("cross_entropy"), {}, round_scalars=round_scalars)
        for batch in batches(n):
            tensors = {name: framework(array) for name, array in batch.items()}
            trainer.reset()
            trainer.backward(compute(model(tensors["ids"]), tensors))
            gradients.append({k: to_numpy(g) for k, g in trainer.gradients() if g is not None})
            clippings.append(trainer.update())
            trainer.schedule()
    return clippings, gradients


def _verbs(side: Any) -> tuple[Any, Any, Any]:
    if side is torch_training:
        return torch.tensor, torch_losses, torch_lifting
    return paddle.to_tensor, paddle_losses, paddle_lifting


def to_numpy(tensor: Any) -> npt.NDArray[Any]:
    """A copy of the values."""
    return np.array(tensor.detach().numpy())


def state(model: Any) -> Arrays:
    """Parameters in torch's layout, whichever framework they come from."""
    arrays = {name: to_numpy(p) for name, p in model.named_parameters()}
    if isinstance(model, PaddleModel):
        return {n: a.T if a.ndim == 2 and "embed" not in n else a for n, a in arrays.items()}
    return arrays


def distance(first: Any, second: Any) -> float:
    """Greatest difference between the parameters of two models of the same names."""
    reference, candidate = state(first), state(second)
    assert list(reference) == list(candidate)
    return max(float(np.abs(reference[name] - candidate[name]).max()) for name in reference)


def build_trainer(side: Any, model: Any, optimizer: Spec) -> Trainer:
    """A native trainer without scheduler; own functions read ``settings["lr"]``, 0.1."""
    trainer: Trainer = side.trainer(
        model, optimizer, None, settings={"lr": 0.1}, precision=Precision.NATIVE
    )
    return trainer
