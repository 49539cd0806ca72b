"""Training verbs: torch and paddle train alike under one name, and the verbs change nothing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portalign.errors import CaptureError
from portalign.frameworks.arguments import TABLES, Group
from portalign.frameworks.base import Trainer
from portalign.frameworks.norms import clipping, global_norm
from portalign.frameworks.paddlepaddle import training as paddle_training
from portalign.frameworks.pytorch import training as torch_training
from portalign.records import Precision
from portalign.request import Spec
from training_pair import models, paddle, state, to_numpy, torch, train

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
}


def _trainer(side: Any, model: Any, optimizer: Spec, scheduler: Spec | None = None) -> Trainer:
    trainer: Trainer = side.trainer(
        model, optimizer, scheduler, settings={"lr": 0.1}, precision=Precision.NATIVE
    )
    return trainer


def _distance(first: Any, second: Any) -> float:
    reference, candidate = state(first), state(second)
    assert list(reference) == list(candidate)
    return max(float(np.abs(reference[name] - candidate[name]).max()) for name in reference)


def test_every_optimizer_of_the_table_is_tested_here() -> None:
    assert {spec.name for spec in OPTIMIZERS.values()} == set(TABLES[Group.OPTIMIZER])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_float64_twins_agree_after_ten_iterations(name: str) -> None:
    first, second = models(is_double=True)
    scheduler = Spec("linear_warmup", args={"warmup": 3, "total": 20})

    seen = [
        train(side, model, OPTIMIZERS[name], n=10, is_double=True, scheduler=scheduler)
        for side, model in zip(SIDES, (first, second), strict=True)
    ]

    assert _distance(first, second) < 1e-12  # measured: at most 3e-15
    for one, other in zip(seen[0][0], seen[1][0], strict=True):
        assert one.norm == pytest.approx(other.norm, rel=1e-12)
        assert one.coefficient == pytest.approx(other.coefficient, rel=1e-12)
    assert _distance(first, models(is_double=True)[0]) > 1e-3  # and they did move


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_native_runs_agree_to_float32(name: str) -> None:
    first, second = models(is_double=False)
    for side, model in zip(SIDES, (first, second), strict=True):
        train(side, model, OPTIMIZERS[name], n=10, is_double=False, round_scalars=False)

    assert _distance(first, second) < 1e-5  # weights of size 1; measured: at most 1e-6


@pytest.mark.parametrize(
    ("name", "floor"),
    [("momentum", 1e-9), ("adamw", 1e-11), ("adamw tuned", 1e-10), ("sgd clipped", 1e-10)],
)
def test_rounding_is_what_makes_the_twins_agree(name: str, floor: float) -> None:
    first, second = models(is_double=True)
    for side, model in zip(SIDES, (first, second), strict=True):
        train(side, model, OPTIMIZERS[name], n=10, is_double=True, round_scalars=False)

    assert _distance(first, second) > floor
    assert torch_training.rounded_constants(OPTIMIZERS[name])


def test_rounded_constants_are_named() -> None:
    spec = Spec("momentum", args={**LR, "weight_decay": 0.1, "clip_norm": 1.0})

    assert torch_training.rounded_constants(spec) == (
        "optimizer momentum 0.9 as float32",
        "optimizer weight_decay 0.1 as float32",
        "clip_norm without the 1e-6 that torch adds to the norm and paddle doesn't",
    )
    assert torch_training.rounded_constants(OPTIMIZERS["adam with decay"]) == ()
    assert paddle_training.rounded_constants(spec) == ()
    smooth = Spec("cross_entropy", args={"label_smoothing": 0.1})
    assert torch_training.rounded_constants(smooth) == ("loss label_smoothing 0.1 as float32",)


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
@pytest.mark.parametrize("limit", [{"clip_norm": 0.5}, {"clip_value": 0.05}], ids=str)
def test_clip_tells_what_the_update_applies(side: Any, limit: dict[str, float]) -> None:
    model = models(is_double=True)[SIDES.index(side)]
    before = state(model)

    clips, gradients = train(
        side, model, Spec("sgd", args={"lr": 1.0, **limit}), n=1, is_double=True
    )

    applied = {name: before[name] - value for name, value in state(model).items()}
    unclipped = global_norm(gradients[0].values())
    assert clips[0].norm == pytest.approx(unclipped, rel=1e-12)
    assert clips[0].coefficient == pytest.approx(
        global_norm(applied.values()) / unclipped, rel=1e-12
    )
    assert clips[0].coefficient < 0.99


@pytest.mark.parametrize("side", SIDES, ids=["torch", "paddle"])
def test_nothing_to_clip_is_a_coefficient_of_one(side: Any) -> None:
    for args in (LR, {**LR, "clip_norm": 1e6}):
        model = models(is_double=False)[SIDES.index(side)]

        clips, _ = train(side, model, Spec("sgd", args=args), n=2, is_double=False)

        assert [clip.coefficient for clip in clips] == [1.0, 1.0]


def test_asking_paddle_what_it_will_clip_leaves_gradients_and_update_alone() -> None:
    ends = []
    for asks in (False, True):
        model = models(is_double=False)[1]
        trainer = _trainer(paddle_training, model, OPTIMIZERS["adamw clipped"])
        for _ in range(3):
            trainer.reset()
            trainer.backward(model(paddle.to_tensor([[1, 2, 3]]))["logits"].square().sum())
            before = {name: to_numpy(grad) for name, grad in trainer.gradients()}
            if asks:
                assert trainer.clip().coefficient < 1
            for name, grad in trainer.gradients():
                assert np.array_equal(before[name], to_numpy(grad))
            trainer.update()
        ends.append(state(model))

    assert all(np.array_equal(ends[0][name], ends[1][name]) for name in ends[0])


@pytest.mark.parametrize("side", SIDES, ids=["torch", "paddle"])
def test_reset_leaves_no_gradient_and_unused_parameters_have_none(side: Any) -> None:
    model = models(is_double=False)[SIDES.index(side)]
    trainer = _trainer(side, model, OPTIMIZERS["sgd"])
    weight = dict(model.named_parameters())["head.bias"]

    trainer.backward((weight * weight).sum())
    used = [name for name, grad in trainer.gradients() if grad is not None]
    trainer.update()
    trainer.reset()

    assert used == ["head.bias"]
    assert [grad for _, grad in trainer.gradients() if grad is not None] == []
    assert trainer.clip().norm == 0.0
    assert trainer.clip().coefficient == 1.0


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
        [name for name, _ in _trainer(side, model, OPTIMIZERS["sgd"]).gradients()]
        for side, model in zip(SIDES, (first, second), strict=True)
    ]

    assert names[0] == names[1]
    assert names[0] == ["0.weight", "0.bias", "1.weight", "1.bias", "2.bias", "3.bias"]


def test_a_sparse_gradient_is_given_dense() -> None:
    first, second = torch.nn.Embedding(5, 3, sparse=True), paddle.nn.Embedding(5, 3, sparse=True)
    sgd = Spec("sgd", args=LR)
    trainers = [_trainer(torch_training, first, sgd), _trainer(paddle_training, second, sgd)]
    trainers[0].backward(first(torch.tensor([1, 1, 4])).sum())
    trainers[1].backward(second(paddle.to_tensor([1, 1, 4])).sum())

    ((_, gradient),) = trainers[1].gradients()

    assert to_numpy(gradient)[:, 0].tolist() == [0, 2, 0, 0, 1]
    assert trainers[0].clip().norm == trainers[1].clip().norm == math.sqrt(15)


def test_a_model_without_trainable_parameters_is_refused() -> None:
    frozen = torch.nn.Linear(2, 2).requires_grad_(False)
    second = paddle.nn.Linear(2, 2)
    for parameter in second.parameters():
        parameter.stop_gradient = True

    for side, model in zip(SIDES, (frozen, second), strict=True):
        with pytest.raises(CaptureError, match="Linear has no trainable parameter"):
            _trainer(side, model, OPTIMIZERS["sgd"])


OWN = """
import paddle, torch
def torch_sgd(model, settings):
    return torch.optim.SGD(model.parameters(), lr=settings["lr"])
def paddle_sgd(model, learning_rate, grad_clip, settings):
    return paddle.optimizer.SGD(learning_rate, model.parameters(), grad_clip=grad_clip)
def paddle_forgets_the_clip(model, learning_rate, grad_clip, settings):
    return paddle.optimizer.SGD(learning_rate, model.parameters())
def paddle_groups(model, learning_rate, grad_clip, settings):
    first, *rest = model.parameters()
    groups = [{"params": [first], "weight_decay": 0.0}, {"params": rest}]
    return paddle.optimizer.AdamW(learning_rate, parameters=groups, grad_clip=grad_clip)
class BrokenClip(paddle.nn.ClipGradByNorm):
    def __call__(self, pairs):
        raise RuntimeError("no such luck")
def paddle_broken_clip(model, learning_rate, grad_clip, settings):
    return paddle.optimizer.SGD(learning_rate, model.parameters(), grad_clip=BrokenClip(1.0))
def returns_text(*arguments):
    return "sgd"
def raises(*arguments):
    return 1 / 0
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    path = tmp_path / "own.py"
    path.write_text(OWN, encoding="utf-8")
    return str(path)


def test_own_optimizers_train_alike_and_are_clipped(own: str) -> None:
    first, second = models(is_double=True)
    args = {"lr": 0.1, "clip_norm": 0.5}
    seen = []
    for side, model, name in zip(SIDES, (first, second), ("torch", "paddle"), strict=True):
        spec = Spec(function=f"{own}:{name}_sgd", args=args)
        trainer = side.trainer(
            model,
            spec,
            None,
            settings={"lr": 0.1},
            precision=Precision.FLOAT64,
            round_scalars=True,
        )
        logits = model(_ids(side, [[1, 2, 3]]))["logits"]
        trainer.backward((logits * logits).sum())
        seen.append(trainer.clip().coefficient)
        trainer.update()

    assert seen[0] == pytest.approx(seen[1], rel=1e-12)
    assert seen[0] < 1
    assert _distance(first, second) < 1e-12  # float64 rounding; see the twins above


def _ids(side: Any, ids: list[list[int]]) -> Any:
    return torch.tensor(ids) if side is torch_training else paddle.to_tensor(ids)


def _clip_of(own: str, name: str) -> tuple[float, float, list[float]]:
    model = models(is_double=True)[1]
    args = {"lr": 0.1, "clip_norm": 0.5}
    trainer = _trainer(paddle_training, model, Spec(function=f"{own}:{name}", args=args))
    trainer.backward(model(paddle.to_tensor([[1, 2, 3]]))["logits"].square().sum())
    found = trainer.clip()
    norms = [global_norm([to_numpy(grad)]) for _, grad in trainer.gradients() if grad is not None]
    return found.norm, found.coefficient, norms


def test_a_paddle_optimizer_that_forgets_the_clip_is_seen(own: str) -> None:
    assert _clip_of(own, "paddle_sgd")[1] < 1
    assert _clip_of(own, "paddle_forgets_the_clip")[1] == 1.0


def test_paddle_clips_each_group_by_a_norm_of_its_own(own: str) -> None:
    norm, coefficient, norms = _clip_of(own, "paddle_groups")

    clipped = [min(0.5, norms[0]), min(0.5, math.sqrt(sum(n * n for n in norms[1:])))]
    assert coefficient == pytest.approx(math.hypot(*clipped) / norm, rel=1e-12)


def test_what_a_clip_raises_is_told(own: str) -> None:
    with pytest.raises(CaptureError, match="BrokenClip raised RuntimeError: no such luck"):
        _clip_of(own, "paddle_broken_clip")


@pytest.mark.parametrize(
    ("name", "said"), [("returns_text", "returned str"), ("raises", "ZeroDivisionError")]
)
def test_own_optimizers_that_fail_are_told(own: str, name: str, said: str) -> None:
    for side, model in zip(SIDES, models(is_double=False), strict=True):
        with pytest.raises(CaptureError, match=said):
            _trainer(side, model, Spec(function=f"{own}:{name}", args=LR))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (Spec("adamw"), "'lr' is missing"),
        (Spec("adamw", args={"lr": "3e-5"}), "'lr' is '3e-5', wanted a number >= 0"),
        (Spec("adamw", args={"lr": -1}), "'lr' is -1"),
        (Spec("lion", args=LR), "known: sgd, momentum, adam, adamw"),
        (Spec("adam", args={**LR, "betas": [0.9, 0.99]}), "no argument 'betas'; known: lr"),
        (Spec("sgd", args={**LR, "clip_norm": 0}), "'clip_norm' is 0"),
        (Spec("sgd", args={**LR, "clip_norm": 1, "clip_value": 1}), "both clip_norm and"),
        (Spec("sgd", args={**LR, "nesterov": True}), "nesterov without momentum"),
        (Spec("sgd", args={**LR, "no_decay": "bias"}), "'no_decay' is 'bias'"),
        (Spec(function="/x.py:fn", args={**LR, "momentum": 1}), "no argument 'momentum'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_arguments_are_refused_alike(spec: Spec, said: str) -> None:
    for side in SIDES:
        with pytest.raises(CaptureError) as caught:
            _trainer(side, None, spec)
        assert said in caught.value.found


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_norms_of_half_precision_gradients_are_read_right(kind: str) -> None:
    first, second = torch.nn.Linear(2, 1, bias=False), paddle.nn.Linear(2, 1, bias_attr=False)
    first.to(getattr(torch, kind))
    second.to(dtype=kind)
    trainers = [
        _trainer(side, model, Spec("sgd", args=LR))
        for side, model in zip(SIDES, (first, second), strict=True)
    ]
    trainers[0].backward(
        (first.weight * torch.tensor([[3.0, 4.0]], dtype=first.weight.dtype)).sum()
    )
    trainers[1].backward((second.weight * paddle.to_tensor([[3.0], [4.0]], kind)).sum())

    assert [trainer.clip().norm for trainer in trainers] == [5.0, 5.0]


def test_norms_are_float64_and_nan_stays() -> None:
    assert global_norm([]) == 0.0
    assert global_norm([np.full(3_000_000, 0.1, np.float32)]) == pytest.approx(
        math.sqrt(3_000_000) * float(np.float32(0.1)), rel=1e-12
    )
    assert math.isnan(global_norm([np.array([1.0, np.nan])]))
    assert math.isnan(clipping(float("nan"), 1.0).coefficient)
    assert clipping(0.0, 0.0).coefficient == 1.0
