"""Optimizer rows: both optimizers get the same gradients, and their updates are compared.

Gradients are given and not computed, so that nothing but the optimizer makes the difference. A
warmup moves the learning rate: some optimizers keep it in their state.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import paddle
import torch

from equivalents.measured import Measured, measured
from portalign.config.entries import Entry
from portalign.equivalents.rows import Row
from portalign.frameworks.paddlepaddle import lifting as paddle_lifting
from portalign.frameworks.paddlepaddle import optimizers as paddle_optimizers
from portalign.frameworks.paddlepaddle import training as paddle_training
from portalign.frameworks.pytorch import lifting as torch_lifting
from portalign.frameworks.pytorch import optimizers as torch_optimizers
from portalign.frameworks.pytorch import training as torch_training
from portalign.records import Precision, Role
from portalign.request import Spec

N_ITERATIONS = 45
SIZE = 0.01  # of a gradient's element, as in a network of moderate width
SHAPES = {"body_weight": (4, 5), "head_weight": (5, 2), "head_bias": (2,)}
SCHEDULE = Spec("linear_warmup", args={"warmup": 5, "total": 60})
Floats = npt.NDArray[np.float64]


def _starts() -> dict[str, Floats]:
    random = np.random.default_rng(0)
    return {name: random.normal(size=shape) for name, shape in SHAPES.items()}


class TorchModel(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for name, start in _starts().items():
            self.register_parameter(name, torch.nn.Parameter(torch.tensor(start)))


class PaddleModel(paddle.nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        for name, start in _starts().items():
            parameter = self.create_parameter(list(start.shape), dtype="float64")
            parameter.set_value(start)
            self.add_parameter(name, parameter)


def _gradients(n_batches: int) -> Iterator[dict[str, Floats]]:
    random = np.random.default_rng(1)
    for _ in range(n_batches):
        yield {name: SIZE * random.normal(size=shape) for name, shape in SHAPES.items()}


def measure(row: Row) -> Measured:
    """The updates of both sides' float64 twins, all parameters in one array an iteration."""
    entry = Entry.model_validate(row.entry)
    specs = [entry.spec(Role.REFERENCE, "torch"), entry.spec(Role.CANDIDATE, "paddle")]
    assert all(spec is not None for spec in specs)
    stepped = partial(_stepped, accumulate=row.accumulate)
    run = _searched if row.entry["name"] == "lbfgs" else stepped
    with torch_lifting.lifted():
        first = run(torch_training, torch_optimizers, TorchModel(), torch.tensor, specs[0])
    with paddle_lifting.lifted():
        second = run(paddle_training, paddle_optimizers, PaddleModel(), paddle.to_tensor, specs[1])
    return measured(first, second)


def _stepped(
    training: Any, _: Any, model: Any, tensor: Any, spec: Any, *, accumulate: int
) -> list[Floats]:
    trainer = training.trainer(
        model,
        spec,
        None if spec.name == "rprop" else SCHEDULE,  # paddle's Rprop takes none
        settings={},
        precision=Precision.FLOAT64,
        round_scalars=True,
    )
    gradients = _gradients(N_ITERATIONS * accumulate)

    def step() -> None:
        trainer.reset()
        for given in islice(gradients, accumulate):
            terms = [(p * tensor(given[name])).sum() for name, p in model.named_parameters()]
            trainer.backward(sum(terms[1:], terms[0]) / accumulate)
        trainer.update()
        trainer.schedule()

    return _updates(model, step)


def _searched(_: Any, optimizers: Any, model: Any, tensor: Any, spec: Any) -> list[Floats]:
    """LBFGS on a logistic regression of random points."""
    random = np.random.default_rng(2)
    points, answers = tensor(random.normal(size=(30, 20))), tensor(random.integers(0, 2, 30) * 2.0)
    is_torch = isinstance(model, TorchModel)
    more = {} if is_torch else {"learning_rate": spec.args["lr"]}
    optimizer = optimizers.optimizer(model, spec, settings={}, **more)

    def closure() -> Any:
        (optimizer.zero_grad if is_torch else optimizer.clear_grad)()
        scores = points @ model.body_weight.reshape([20])
        loss = (scores.exp() + 1).log().mean() - (scores * answers).mean() / 2
        loss = loss + sum((p**4).sum() for p in model.parameters()) / 1000
        loss.backward()
        return loss

    with warnings.catch_warnings():
        # paddle 3.3.1's LBFGS copies tensors in a way that it warns of itself.
        warnings.filterwarnings("ignore", message="To copy construct from a tensor")
        return _updates(model, lambda: optimizer.step(closure))


def _updates(model: Any, step: Callable[[], object]) -> list[Floats]:
    weights = [_weights(model)]
    for _ in range(N_ITERATIONS):
        step()
        weights.append(_weights(model))
    return [after - before for before, after in pairwise(weights)]


def _weights(model: Any) -> Floats:
    return np.concatenate([p.detach().numpy().ravel().copy() for p in model.parameters()])
