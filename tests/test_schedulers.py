"""LR schedulers: both frameworks give one curve under one name, and a porter's own are checked."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    with warnings.catch_warnings():
        # paddle 3.3.1 warns on import where ccache is missing.
        warnings.filterwarnings("ignore", message=".*ccache", category=UserWarning)
        pytest.importorskip("paddle", reason="paddle is not installed")

from portalign.errors import CaptureError
from portalign.frameworks.paddlepaddle import training as paddle_training
from portalign.frameworks.pytorch import training as torch_training
from portalign.frameworks.trainer import Trainer
from portalign.records import Precision
from portalign.request import Spec
from portalign.stages.lr_scheduler import curve

BASE = 3e-3
SIDES = [torch_training, paddle_training]


def _trainer(side: Any, scheduler: Spec | None, *, optimizer: Spec | None = None) -> Trainer:
    made: Trainer = side.trainer(
        None,
        optimizer or Spec("adamw", args={"lr": BASE}),
        scheduler,
        settings={"gamma": 0.5},
        precision=Precision.NATIVE,
    )
    return made


def _curve(
    side: Any, scheduler: Spec | None, n: int, *, optimizer: Spec | None = None
) -> list[float]:
    return curve(_trainer(side, scheduler, optimizer=optimizer), n)


def _half_cosine(step: int, n_cycles: float = 0.5) -> float:
    if step < 10:
        return step / 10
    return max(0.0, 0.5 * (1 + math.cos(math.pi * n_cycles * 2 * (step - 10) / 50)))


CURVES: dict[
    str, tuple[dict[str, Any], Callable[[int], float]]
] = {  # name -> (arguments, the LR factor it should have)
    "constant": ({"total": 60}, lambda i: 1.0),
    "linear_warmup": (
        {"warmup": 10, "total": 60, "probe": [10, 50]},
        lambda i: i / 10 if i < 10 else max(0.0, (60 - i) / 50),
    ),
    "cosine_warmup": ({"warmup": 10, "total": 60}, _half_cosine),
    "step": ({"step_size": 7}, lambda i: 0.1 ** (i // 7)),
    "multi_step": ({"milestones": [5, 20], "gamma": 0.3}, lambda i: 0.3 ** ((i >= 5) + (i >= 20))),
    "exponential": ({"gamma": 0.95}, lambda i: 0.95**i),
    "cosine": (
        {"t_max": 60, "eta_min": 1e-4},
        lambda i: (1e-4 + (BASE - 1e-4) * (1 + math.cos(math.pi * i / 60)) / 2) / BASE,
    ),
    "polynomial": ({"total": 40, "power": 2}, lambda i: (1 - min(i, 40) / 40) ** 2),
    "linear": (
        {"start": 0.25, "end": 1.0, "total": 20},
        lambda i: 0.25 + 0.75 * min(i, 20) / 20,
    ),
}


@pytest.mark.parametrize("name", CURVES)
def test_a_named_scheduler_gives_its_formula_on_both_sides(name: str) -> None:
    arguments, factor = CURVES[name]

    torch_curve, paddle_curve = (_curve(side, Spec(name, args=arguments), 60) for side in SIDES)

    # Recursive schedulers gather an ulp per iteration: 60 * 2.2e-16, times 5 to spare.
    expected = [BASE * factor(i) for i in range(60)]
    np.testing.assert_allclose(torch_curve, expected, rtol=6e-14, atol=1e-18)
    np.testing.assert_allclose(paddle_curve, expected, rtol=6e-14, atol=1e-18)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        pytest.param("linear_warmup", {"warmup": 0, "total": 30}, id="no warmup"),
        pytest.param("linear_warmup", {"warmup": 30, "total": 30}, id="nothing but warmup"),
        pytest.param("cosine_warmup", {"warmup": 5, "total": 30, "num_cycles": 2}, id="two cycles"),
        pytest.param("polynomial", {"total": 30, "end_lr": 1e-4}, id="polynomial to an end LR"),
        pytest.param("cosine", {"t_max": 10}, id="cosine past its end"),
        pytest.param("linear", {"total": 10}, id="linear defaults"),
    ],
)
def test_variants_agree_over_the_whole_curve_and_beyond(
    name: str, arguments: dict[str, Any]
) -> None:
    torch_curve, paddle_curve = (_curve(side, Spec(name, args=arguments), 45) for side in SIDES)

    np.testing.assert_allclose(paddle_curve, torch_curve, rtol=6e-14, atol=1e-17)  # ulps, as above
    assert len(set(torch_curve)) > 5


def test_half_a_cycle_more_shows_in_the_curve() -> None:
    right = _curve(torch_training, Spec("cosine_warmup", args={"warmup": 10, "total": 60}), 60)
    wrong = _curve(
        paddle_training,
        Spec("cosine_warmup", args={"warmup": 10, "total": 60, "num_cycles": 1}),
        60,
    )

    assert not np.allclose(right, wrong, rtol=0.3)


def test_without_a_scheduler_the_lr_stays() -> None:
    for side in SIDES:
        assert _curve(side, None, 3) == [BASE] * 3


@pytest.mark.parametrize("name", ["linear_warmup", "cosine_warmup"])
def test_torch_without_transformers_gives_the_same_curve(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = Spec(name, args={"warmup": 10, "total": 60})
    expected = _curve(torch_training, spec, 60)

    monkeypatch.setitem(sys.modules, "transformers.optimization", None)

    # The same formula, another order of its operations.
    np.testing.assert_allclose(_curve(torch_training, spec, 60), expected, rtol=1e-14)


TORCH_SIDE = """
import torch
def optimizer(model, settings):
    return torch.optim.SGD(model.parameters(), lr=3e-3)
def scheduler(optimizer, settings):
    return torch.optim.lr_scheduler.StepLR(optimizer, 4, gamma=settings["gamma"])
def plateau(optimizer, settings):
    return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
def nothing(optimizer, settings):
    return None
"""
PADDLE_SIDE = """
import paddle
def optimizer(model, learning_rate, grad_clip, settings):
    return paddle.optimizer.SGD(learning_rate, parameters=model.parameters(), grad_clip=grad_clip)
def scheduler(settings):
    return paddle.optimizer.lr.StepDecay(3e-3, 4, gamma=settings["gamma"])
def plateau(settings):
    return paddle.optimizer.lr.ReduceOnPlateau(3e-3)
def nothing(settings):
    return None
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "torch_side.py", tmp_path / "paddle_side.py"]
    for path, text in zip(paths, (TORCH_SIDE, PADDLE_SIDE), strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


@pytest.mark.parametrize("own_optimizer", [False, True], ids=["named optimizer", "own optimizer"])
def test_own_functions_give_their_curve_without_a_model(
    files: list[Path], own_optimizer: bool
) -> None:
    for side, path in zip(SIDES, files, strict=True):
        optimizer = Spec(function=f"{path}:optimizer") if own_optimizer else None

        found = _curve(side, Spec(function=f"{path}:scheduler"), 12, optimizer=optimizer)

        assert found == [3e-3] * 4 + [1.5e-3] * 4 + [0.75e-3] * 4


def test_a_named_scheduler_works_on_own_optimizers(files: list[Path]) -> None:
    named = Spec("step", args={"step_size": 2})
    curves = [
        _curve(side, named, 6, optimizer=Spec(function=f"{path}:optimizer", args={"lr": BASE}))
        for side, path in zip(SIDES, files, strict=True)
    ]

    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-15)
    assert len(set(curves[0])) == 3


@pytest.mark.parametrize("name", ["plateau", "nothing"])
def test_own_functions_that_return_no_iteration_scheduler_are_refused(
    files: list[Path], name: str
) -> None:
    for side, path in zip(SIDES, files, strict=True):
        with pytest.raises(CaptureError, match="not a scheduler"):
            _curve(side, Spec(function=f"{path}:{name}"), 3)


def test_an_own_paddle_optimizer_needs_an_lr_unless_the_scheduler_has_one(
    files: list[Path],
) -> None:
    own = Spec(function=f"{files[1]}:optimizer")

    for scheduler in (None, Spec("constant")):
        with pytest.raises(CaptureError, match="names no lr"):
            _curve(paddle_training, scheduler, 1, optimizer=own)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (Spec("lineer_warmup"), "known: constant, step, multi_step"),
        (Spec("linear_warmup", args={"total": 5, "warm_up": 3}), "no argument 'warm_up'; known:"),
        (Spec("linear_warmup", args={"warmup": 3}), "'total' is missing"),
        (Spec("linear_warmup", args={"total": 5.5}), "'total' is 5.5, wanted an integer >= 1"),
        (Spec("exponential", args={"gamma": float("nan")}), "'gamma' is nan"),
        (Spec("step", args={"step_size": True}), "'step_size' is True"),
        (Spec("cosine", args={"t_max": 5, "eta_min": "1e-5"}), "'eta_min' is '1e-5'"),
        (Spec("multi_step", args={"milestones": [5, 3]}), "milestones [5, 3]"),
        (Spec("step", args={"step_size": 2, "every": "epoch"}), "without iterations_per_epoch"),
        (Spec("step", args={"step_size": 2, "iterations_per_epoch": 5}), "without every: epoch"),
        (Spec("lambda", args={"factor": 0.5}), "wanted a function file.py:fn(step)"),
        (Spec("chained", args={"schedules": [{"name": "cyclic"}]}), "a list of schedules"),
        (Spec("chained", args={"schedules": []}), "no schedules"),
        (
            Spec("sequential", args={"schedules": [{"name": "constant"}], "milestones": [3]}),
            "1 milestones for 1 schedules",
        ),
        (
            Spec("chained", args={"schedules": [{"name": "step", "size": 3}]}),
            "lr_scheduler 'step' has no argument 'size'",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_arguments_are_refused_alike(spec: Spec, said: str) -> None:
    for side in SIDES:
        with pytest.raises(CaptureError) as caught:
            _curve(side, spec, 1)
        assert said in caught.value.found


@pytest.mark.parametrize(
    ("side", "spec", "said"),
    [
        (
            1,
            Spec("step", args={"step_size": 2, "gamma": 1.5}),
            "paddle refuses lr_scheduler 'step'",
        ),
        (
            0,
            Spec("polynomial_warmup", args={"warmup": 2, "total": 9, "end_lr": 1.0}),
            "torch refuses lr_scheduler",
        ),
    ],
    ids=["paddle", "torch"],
)
def test_what_a_framework_refuses_is_told_as_its_refusal(side: int, spec: Spec, said: str) -> None:
    with pytest.raises(CaptureError) as caught:
        _curve(SIDES[side], spec, 1)

    assert said in caught.value.found


def test_an_epoch_is_as_many_iterations_as_the_port_says() -> None:
    spec = Spec("exponential", args={"gamma": 0.5, "every": "epoch", "iterations_per_epoch": 3})

    for side in SIDES:
        assert _curve(side, spec, 7) == [BASE] * 3 + [BASE / 2] * 3 + [BASE / 4]


def test_own_functions_are_stepped_by_the_epoch_too(files: list[Path]) -> None:
    pace = {"every": "epoch", "iterations_per_epoch": 2}
    for side, path in zip(SIDES, files, strict=True):
        found = _curve(side, Spec(function=f"{path}:scheduler", args=pace), 12)

        assert found == [3e-3] * 8 + [1.5e-3] * 4


def test_a_plateau_is_found_in_the_metrics_of_the_port_and_they_must_suffice() -> None:
    spec = Spec("reduce_on_plateau", args={"metrics": [1.0, 1.0, 1.0], "patience": 1})

    for side in SIDES:
        np.testing.assert_allclose(_curve(side, spec, 3), [BASE] * 3)
        trainer = _trainer(side, spec)
        for _ in range(3):
            trainer.schedule()
        assert trainer.learning_rate() == pytest.approx(BASE / 10)
        with pytest.raises(CaptureError, match="3 metrics for 4 steps"):
            trainer.schedule()


def test_a_factor_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "factors.py"
    path.write_text("def word(step):\n    return 'half'\n", encoding="utf-8")
    spec = Spec("lambda", args={"factor": f"{path}:word"})

    for side in SIDES:
        with pytest.raises(CaptureError, match="returned 'half' at step 0, not a finite number"):
            _curve(side, spec, 1)
