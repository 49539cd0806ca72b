"""Training verbs: torch and paddle train alike under one name, and the verbs change nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from portalign.equivalents.arguments import TABLES
from portalign.equivalents.rows import Area
from portalign.errors import CaptureError
from portalign.frameworks.paddlepaddle import training as paddle_training
from portalign.frameworks.pytorch import training as torch_training
from portalign.frameworks.trainer import Clipping
from portalign.records import Precision
from portalign.request import Spec
from training_pair import build_trainer, distance, models, paddle, state, to_numpy, torch, train

SIDES = [torch_training, paddle_training]
LR = {"lr": 0.01}
OPTIMIZERS = {
    "sgd": Spec("sgd", args=LR),
    "sgd with decay": Spec("sgd", args={**LR, "weight_decay": 0.1, "no_decay": ["bias", "norm"]}),
    "sgd nesterov": Spec("sgd", args={**LR, "momentum": 0.9, "nesterov": True}),
    "momentum": Spec("momentum", args={**LR, "weight_decay": 0.1}),
    "momentum no_decay": Spec(
        "momentum", args={**LR, "weight_decay": 0.1, "no_decay": ["BIAS", "norm"]}
    ),
    "adam": Spec("adam", args=LR),
    "adam with decay": Spec("adam", args={**LR, "weight_decay": 0.1, "no_decay": ["bias"]}),
    "adamw": Spec("adamw", args=LR),
    "adamw tuned": Spec(
        "adamw",
        args={
            **LR,
            "beta1": 0.8,
            "beta2": 0.95,
            "eps": 1e-6,
            "weight_decay": 0.1,
            "no_decay": ["bias", "norm"],
        },
    ),
    "adamw clipped": Spec("adamw", args={**LR, "clip_norm": 0.5}),
    "sgd clipped": Spec("sgd", args={**LR, "clip_norm": 0.5}),
    "momentum clipped by value": Spec("momentum", args={**LR, "clip_value": 0.05}),
    "sgd each clipped": Spec("sgd", args={**LR, "clip_each_norm": 0.03}),
    "adam amsgrad": Spec("adam", args={**LR, "amsgrad": True, "weight_decay": 0.1}),
    "adamw layers": Spec(
        "adamw",
        args={**LR, "amsgrad": True, "lr_scale": {"embed": 0.1, "HEAD": 3}, "no_decay": ["bias"]},
    ),
    "nadam": Spec("nadam", args={**LR, "weight_decay": 0.1, "no_decay": ["bias"]}),
    "radam": Spec("radam", args={**LR, "weight_decay": 0.1, "lr_scale": {"embed": 0.1}}),
    "adagrad": Spec("adagrad", args={**LR, "eps": 1e-3, "initial_accumulator": 0.1}),
    "adadelta": Spec("adadelta", args={"lr": 1.0, "weight_decay": 0.1}),
    "rprop": Spec("rprop", args={**LR, "step_max": 0.1}),
}
ELSEWHERE = {"adamax", "rmsprop", "asgd", "lbfgs"}  # only the table of equivalents runs these


def test_every_optimizer_of_the_table_is_tested_here() -> None:
    named = {spec.name for spec in OPTIMIZERS.values()}

    assert named | ELSEWHERE == set(TABLES[Area.OPTIMIZER])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_float64_twins_agree_after_ten_iterations(name: str) -> None:
    first, second = models(is_double=True)
    warmup = Spec("linear_warmup", args={"warmup": 3, "total": 20})
    scheduler = None if name == "rprop" else warmup  # paddle's Rprop takes none

    seen = [
        train(side, model, OPTIMIZERS[name], n=10, is_double=True, scheduler=scheduler)
        for side, model in zip(SIDES, (first, second), strict=True)
    ]

    assert distance(first, second) < 1e-12  # measured: at most 3e-15
    for one, other in zip(seen[0][0], seen[1][0], strict=True):
        assert one.norm == pytest.approx(other.norm, rel=1e-12)
        assert one.coefficient == pytest.approx(other.coefficient, rel=1e-12)
    assert distance(first, models(is_double=True)[0]) > 1e-3  # and they did move


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_native_runs_agree_to_float32(name: str) -> None:
    first, second = models(is_double=False)
    for side, model in zip(SIDES, (first, second), strict=True):
        train(side, model, OPTIMIZERS[name], n=10, is_double=False, round_scalars=False)

    assert distance(first, second) < 1e-5  # weights of size 1; measured: at most 1e-6


@pytest.mark.parametrize(
    ("name", "floor"),
    [
        ("momentum", 1e-9),
        ("adamw", 1e-11),
        ("adamw tuned", 1e-10),
        ("sgd clipped", 1e-10),
        ("sgd each clipped", 1e-9),
        ("nadam", 1e-10),
        ("radam", 1e-10),
        ("adadelta", 1e-12),
    ],
)
def test_rounding_is_what_makes_the_twins_agree(name: str, floor: float) -> None:
    first, second = models(is_double=True)
    for side, model in zip(SIDES, (first, second), strict=True):
        train(side, model, OPTIMIZERS[name], n=10, is_double=True, round_scalars=False)

    assert distance(first, second) > floor
    assert torch_training.rounded_constants(OPTIMIZERS[name])


def test_rounded_constants_are_named() -> None:
    spec = Spec("momentum", args={**LR, "weight_decay": 0.1, "clip_norm": 1.0})

    assert torch_training.rounded_constants(spec) == (
        "optimizer momentum 0.9 as float32",
        "optimizer weight_decay 0.1 as float32",
        "clip_norm without the 1e-6 that torch adds to the norm and paddle doesn't",
    )
    assert torch_training.rounded_constants(OPTIMIZERS["radam"]) == (
        "optimizer betas (0.9, 0.999) as float32",
        "optimizer eps 1e-08 as float32",
    )
    assert torch_training.rounded_constants(OPTIMIZERS["adam with decay"]) == ()
    assert paddle_training.rounded_constants(spec) == ()
    smooth = Spec("cross_entropy", args={"label_smoothing": 0.1})
    assert torch_training.rounded_constants(smooth) == (
        "loss label_smoothing 0.1: label rows as float32",
    )


@pytest.mark.parametrize("base", ["sgd with decay", "adam with decay", "momentum", "adamw"])
@pytest.mark.parametrize("side", SIDES, ids=["torch", "paddle"])
def test_decay_reaches_the_bias_unless_no_decay_names_it(side: Any, base: str) -> None:
    results = []
    for no_decay in ([], ["Bias"]):
        model = models(is_double=True)[SIDES.index(side)]
        args = {**OPTIMIZERS[base].args, "weight_decay": 0.5, "no_decay": no_decay}
        train(side, model, Spec(OPTIMIZERS[base].name, args=args), n=3, is_double=True)
        results.append(state(model))

    changed = {name for name in results[0] if np.abs(results[0][name] - results[1][name]).max() > 0}
    assert {"head.bias", "Norm.bias"} <= changed


@pytest.mark.parametrize("side", SIDES, ids=["torch", "paddle"])
@pytest.mark.parametrize("name", ["sgd", "momentum", "adamw", "adagrad"])
def test_lr_scale_reaches_the_layers_it_names_and_no_others(side: Any, name: str) -> None:
    moved = []
    for scale in ({}, {"Embed": 0.5}):
        model = models(is_double=True)[SIDES.index(side)]
        before = state(model)
        train(side, model, Spec(name, args={**LR, "lr_scale": scale}), n=1, is_double=True)
        moved.append({key: value - before[key] for key, value in state(model).items()})

    for key, movement in moved[1].items():
        share = 0.5 if key == "embed.weight" else 1.0
        # Weights of size 1 moved by 0.01: the movement is known to 1e-14.
        assert movement == pytest.approx(share * moved[0][key], rel=1e-10, abs=1e-15), key


@pytest.mark.parametrize("side", SIDES, ids=["torch", "paddle"])
def test_reset_leaves_no_gradient_and_unused_parameters_have_none(side: Any) -> None:
    model = models(is_double=False)[SIDES.index(side)]
    trainer = build_trainer(side, model, OPTIMIZERS["sgd"])
    weight = dict(model.named_parameters())["head.bias"]

    trainer.backward((weight * weight).sum())
    used = [name for name, grad in trainer.gradients() if grad is not None]
    trainer.update()
    trainer.reset()

    assert used == ["head.bias"]
    assert [grad for _, grad in trainer.gradients() if grad is not None] == []
    assert trainer.update() == Clipping(norm=0.0, coefficient=1.0)


def test_gradients_are_the_trainable_parameters_tied_ones_once() -> None:
    first = torch.nn.Sequential(
        torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    )
    first[2].weight = first[0].weight
    first[3].weight.requires_grad_(False)
    second = paddle.nn.Sequential(
        paddle.nn.Linear(3, 3),
        paddle.nn.BatchNorm1D(3),
        paddle.nn.Linear(3, 3),
        paddle.nn.Linear(3, 3),
    )
    second[2].weight = second[0].weight
    second[3].weight.stop_gradient = True

    names = [
        [name for name, _ in build_trainer(side, model, OPTIMIZERS["sgd"]).gradients()]
        for side, model in zip(SIDES, (first, second), strict=True)
    ]

    assert names[0] == names[1]
    assert names[0] == ["0.weight", "0.bias", "1.weight", "1.bias", "2.bias", "3.bias"]


def test_a_sparse_gradient_is_given_dense() -> None:
    first, second = torch.nn.Embedding(5, 3, sparse=True), paddle.nn.Embedding(5, 3, sparse=True)
    sgd = Spec("sgd", args=LR)
    trainers = [
        build_trainer(torch_training, first, sgd),
        build_trainer(paddle_training, second, sgd),
    ]
    trainers[0].backward(first(torch.tensor([1, 1, 4])).sum())
    trainers[1].backward(second(paddle.to_tensor([1, 1, 4])).sum())

    ((_, gradient),) = trainers[1].gradients()

    assert to_numpy(gradient)[:, 0].tolist() == [0, 2, 0, 0, 1]
    assert trainers[0].update().norm == trainers[1].update().norm == math.sqrt(15)


def test_a_model_without_trainable_parameters_is_refused() -> None:
    frozen = torch.nn.Linear(2, 2).requires_grad_(False)
    second = paddle.nn.Linear(2, 2)
    for parameter in second.parameters():
        parameter.stop_gradient = True

    for side, model in zip(SIDES, (frozen, second), strict=True):
        with pytest.raises(CaptureError, match="Linear has no trainable parameter"):
            build_trainer(side, model, OPTIMIZERS["sgd"])


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (Spec("adamw"), "'lr' is missing"),
        (Spec("adamw", args={"lr": "3e-5"}), "'lr' is '3e-5', wanted a number >= 0"),
        (Spec("adamw", args={"lr": -1}), "'lr' is -1"),
        (Spec("lbfgs", args=LR), "several times an iteration"),
        (Spec("lion", args=LR), "known: sgd, momentum, adam, adamw, adamax"),
        (Spec("adam", args={**LR, "betas": [0.9, 0.99]}), "no argument 'betas'; known: lr"),
        (Spec("sgd", args={**LR, "clip_norm": 0}), "'clip_norm' is 0"),
        (Spec("sgd", args={**LR, "clip_norm": 1, "clip_value": 1}), "both clip_norm and"),
        (Spec("sgd", args={**LR, "clip_each_norm": 1, "clip_value": 1}), "both clip_each_norm"),
        (Spec("sgd", args={**LR, "lr_scale": {"head": 0}}), "wanted parts of parameter names"),
        (Spec("sgd", args={**LR, "lr_scale": ["head"]}), "wanted parts of parameter names"),
        (Spec("rprop", args={**LR, "weight_decay": 0.1}), "no argument 'weight_decay'"),
        (Spec("sgd", args={**LR, "nesterov": True}), "nesterov without momentum"),
        (Spec("sgd", args={**LR, "no_decay": "bias"}), "'no_decay' is 'bias'"),
        (Spec(function="/x.py:fn", args={**LR, "momentum": 1}), "no argument 'momentum'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_arguments_are_refused_alike(spec: Spec, said: str) -> None:
    for side in SIDES:
        with pytest.raises(CaptureError) as caught:
            build_trainer(side, None, spec)
        assert said in caught.value.found


def test_a_scheduler_on_paddles_rprop_is_refused_with_a_reason() -> None:
    model = paddle.nn.Linear(2, 2)
    step = Spec("step", args={"step_size": 3})

    with pytest.raises(CaptureError, match="Rprop takes a number as learning rate"):
        paddle_training.trainer(
            model, OPTIMIZERS["rprop"], step, settings={}, precision=Precision.NATIVE
        )
