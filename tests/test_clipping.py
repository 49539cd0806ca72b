"""Gradient clipping and porters' own optimizers: what `update` will do is told, and not changed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portalign.errors import CaptureError
from portalign.frameworks.norms import clipping, global_norm
from portalign.frameworks.paddlepaddle import training as paddle_training
from portalign.frameworks.pytorch import training as torch_training
from portalign.frameworks.trainer import Clipping, Exchange
from portalign.records import Precision
from portalign.request import Spec
from training_pair import build_trainer, distance, models, paddle, state, to_numpy, torch, train

SIDES = [torch_training, paddle_training]
LR = {"lr": 0.01}


@pytest.mark.parametrize("side", SIDES, ids=["torch", "paddle"])
@pytest.mark.parametrize(
    "limit", [{"clip_norm": 0.5}, {"clip_each_norm": 0.1}, {"clip_value": 0.05}], ids=str
)
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


def test_watching_paddle_clip_leaves_the_update_alone() -> None:
    watched, bare = (models(is_double=False)[1] for _ in range(2))
    trainer = build_trainer(paddle_training, watched, Spec("adamw", args={**LR, "clip_norm": 0.5}))
    optimizer = paddle.optimizer.AdamW(
        LR["lr"], parameters=bare.parameters(), grad_clip=paddle.nn.ClipGradByGlobalNorm(0.5)
    )
    for _ in range(3):
        trainer.reset()
        trainer.backward(watched(paddle.to_tensor([[1, 2, 3]]))["logits"].square().sum())
        assert trainer.update().coefficient < 1

        bare(paddle.to_tensor([[1, 2, 3]]))["logits"].square().sum().backward()
        optimizer.step()
        optimizer.clear_grad(set_to_zero=False)

    ends = state(watched), state(bare)
    assert all(np.array_equal(ends[0][name], ends[1][name]) for name in ends[0])


OWN = """
import paddle, torch
def torch_sgd(model, settings):
    return torch.optim.SGD(model.parameters(), lr=settings["lr"])
class Clips(torch.optim.SGD):
    def step(self, closure=None):
        torch.nn.utils.clip_grad_norm_(self.param_groups[0]["params"], 0.5)
        return super().step(closure)
class ClipsAlone(torch.optim.SGD):
    def step(self, closure=None):
        torch.nn.utils.clip_grad_norm_(self.param_groups[0]["params"], 0.5)
        with torch.no_grad():
            for p in self.param_groups[0]["params"]:
                p -= self.param_groups[0]["lr"] * p.grad
def torch_subclass(model, settings):
    return Clips(model.parameters(), lr=settings["lr"])
def torch_alone(model, settings):
    return ClipsAlone(model.parameters(), lr=settings["lr"])
def torch_hook(model, settings):
    made = torch.optim.SGD(model.parameters(), lr=settings["lr"])
    def clip(*_):
        torch.nn.utils.clip_grad_norm_(list(model.parameters()), 0.5)
    made.register_step_pre_hook(clip)
    return made
class PaddleClips(paddle.optimizer.SGD):
    def step(self):
        found = [p for p in self._parameter_list if p.grad is not None]
        for p, (_, grad) in zip(
            found, paddle.nn.ClipGradByGlobalNorm(0.5)([(p, p.grad) for p in found])
        ):
            p.grad = grad
        super().step()
def paddle_subclass(model, learning_rate, grad_clip, settings):
    return PaddleClips(learning_rate, model.parameters())
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
class FirstOf(paddle.nn.ClipGradByNorm):
    def __call__(self, pairs):
        return [pairs[0], *pairs[1:]]
def paddle_first_of(model, learning_rate, grad_clip, settings):
    return paddle.optimizer.SGD(learning_rate, model.parameters(), grad_clip=FirstOf(1.0))
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
        seen.append(trainer.update().coefficient)

    assert seen[0] == pytest.approx(seen[1], rel=1e-12)
    assert seen[0] < 1
    assert distance(first, second) < 1e-12  # float64 rounding; see the twins above


@pytest.mark.parametrize("name", ["sgd", "adamw"])  # torch's AdamW has the step of its Adam
@pytest.mark.parametrize("side", SIDES, ids=["torch", "paddle"])
def test_a_clip_beside_a_schedule_is_seen_and_exchanged_after_it(side: Any, name: str) -> None:
    model = models(is_double=True)[SIDES.index(side)]
    spec = Spec(name, args={**LR, "clip_norm": 0.5})
    trainer = side.trainer(model, spec, SCHEDULE, settings={}, precision=Precision.FLOAT64)
    trainer.backward(model(_ids(side, [[1, 2, 3]]))["logits"].square().sum())
    seen = []

    clip = trainer.update(lambda _, gradient: seen.append(to_numpy(gradient)))

    assert clip.coefficient == pytest.approx(0.5 / clip.norm, rel=1e-5)  # torch adds 1e-6
    assert global_norm(seen) == pytest.approx(0.5, rel=1e-5)
    assert not clip.is_within


SCHEDULE = Spec("step", args={"step_size": 3, "gamma": 0.5})


def _updated(own: str, name: str, exchange: Exchange | None = None) -> tuple[Clipping, Any]:
    """One update by a function of `own`, in float64: what it did, and the model it left."""
    at = name.startswith("paddle")
    model = models(is_double=True)[at]
    spec = Spec(function=f"{own}:{name}", args={"lr": 0.1})
    trainer = SIDES[at].trainer(  # torch's schedulers wrap the step of their optimizer
        model, spec, SCHEDULE, settings={"lr": 0.1}, precision=Precision.FLOAT64
    )
    logits = model(_ids(SIDES[at], [[1, 2, 3]]))["logits"]
    trainer.backward((logits * logits).sum())
    return trainer.update(exchange), model


@pytest.mark.parametrize("name", ["torch_subclass", "torch_hook", "paddle_subclass"])
def test_a_clip_within_the_optimizers_step_is_seen(own: str, name: str) -> None:
    clip, model = _updated(own, name)
    halved, other = _updated(own, name, lambda _, gradient: gradient / 2)

    start = state(models(is_double=True)[name.startswith("paddle")])
    steps = [{n: start[n] - value for n, value in state(m).items()} for m in (model, other)]
    assert clip.coefficient == pytest.approx(0.5 / clip.norm, rel=1e-5)  # torch adds 1e-6
    assert clip == halved
    assert not clip.is_within
    for one, half in zip(*(step.values() for step in steps), strict=True):
        assert np.allclose(one, 2 * half, rtol=1e-9, atol=1e-12)  # what is exchanged comes last


def test_a_clip_within_a_step_that_is_all_its_own_is_told(own: str) -> None:
    clip, _ = _updated(own, "torch_alone")

    assert clip.is_within
    assert clip.coefficient == 1.0


def _ids(side: Any, ids: list[list[int]]) -> Any:
    return torch.tensor(ids) if side is torch_training else paddle.to_tensor(ids)


def _clip_of(own: str, name: str) -> tuple[float, float, list[float]]:
    model = models(is_double=True)[1]
    args = {"lr": 0.1, "clip_norm": 0.5}
    trainer = build_trainer(paddle_training, model, Spec(function=f"{own}:{name}", args=args))
    trainer.backward(model(paddle.to_tensor([[1, 2, 3]]))["logits"].square().sum())
    norms = [global_norm([to_numpy(grad)]) for _, grad in trainer.gradients() if grad is not None]
    found = trainer.update()
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


def test_a_clip_is_not_asked_where_nothing_got_a_gradient(own: str) -> None:
    # The state-grafted iterations read the schedule by updates of no gradient.
    model = models(is_double=True)[1]
    spec = Spec(function=f"{own}:paddle_first_of", args=LR)
    trainer = build_trainer(paddle_training, model, spec)

    assert trainer.update().coefficient == 1.0


@pytest.mark.parametrize(
    ("name", "said"), [("returns_text", "returned str"), ("raises", "ZeroDivisionError")]
)
def test_own_optimizers_that_fail_are_told(own: str, name: str, said: str) -> None:
    for side, model in zip(SIDES, models(is_double=False), strict=True):
        with pytest.raises(CaptureError, match=said):
            build_trainer(side, model, Spec(function=f"{own}:{name}", args=LR))


@pytest.mark.filterwarnings("ignore:Accumulating with FP16")  # paddle, of its own optimizers
def test_norms_of_bfloat16_gradients_are_read_right() -> None:
    kind = "bfloat16"
    first, second = torch.nn.Linear(2, 1, bias=False), paddle.nn.Linear(2, 1, bias_attr=False)
    first.to(getattr(torch, kind))
    second.to(dtype=kind)
    trainers = [
        build_trainer(side, model, Spec("sgd", args=LR))
        for side, model in zip(SIDES, (first, second), strict=True)
    ]
    trainers[0].backward(
        (first.weight * torch.tensor([[3.0, 4.0]], dtype=first.weight.dtype)).sum()
    )
    trainers[1].backward((second.weight * paddle.to_tensor([[3.0], [4.0]], kind)).sum())

    assert [trainer.update().norm for trainer in trainers] == [5.0, 5.0]


def test_norms_are_float64_and_nan_stays() -> None:
    assert global_norm([]) == 0.0
    assert global_norm([np.full(3_000_000, 0.1, np.float32)]) == pytest.approx(
        math.sqrt(3_000_000) * float(np.float32(0.1)), rel=1e-12
    )
    assert math.isnan(global_norm([np.array([1.0, np.nan])]))
    assert math.isnan(clipping({"w": math.nan}, {"w": 1.0}).coefficient)
    assert clipping({"w": 0.0}, {"w": 0.0}).coefficient == clipping({}, {}).coefficient == 1.0
