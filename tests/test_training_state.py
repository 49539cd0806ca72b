"""What an optimizer keeps, under names of both frameworks: read alike, and carried across."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from portalign.frameworks.paddlepaddle import training as paddle_training
from portalign.frameworks.pytorch import training as torch_training
from portalign.frameworks.trainer import Trainer
from portalign.records import Array, Precision
from portalign.request import Spec
from training_pair import paddle, to_numpy, torch

SIDES = [torch_training, paddle_training]
IDS = ["torch", "paddle"]
SLOTS = {
    "sgd": (),
    "momentum": ("momentum",),
    "adam": ("beta1_power", "beta2_power", "m", "step", "v"),
    "adamw": ("beta1_power", "beta2_power", "m", "step", "v"),
}
# by torch's name and paddle's, with the arguments that make them equal
NATIVE: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "adamax": ("Adamax", "Adamax", {}, {}),
    "adagrad": ("Adagrad", "Adagrad", {"eps": 1e-6}, {}),
    "adadelta": ("Adadelta", "Adadelta", {"rho": 0.95}, {}),
    "rprop": ("Rprop", "Rprop", {}, {}),
    "nadam": ("NAdam", "NAdam", {}, {}),
    "radam": ("RAdam", "RAdam", {}, {}),
    "rmsprop": (
        "RMSprop",
        "RMSProp",
        {"centered": True, "momentum": 0.9, "alpha": 0.95},
        {"centered": True, "momentum": 0.9, "epsilon": 1e-12},
    ),
    "amsgrad": ("AdamW", "AdamW", {"amsgrad": True}, {"amsgrad": True}),
}
OWN = """
import paddle, torch
def torch_one(model, settings):
    kind = getattr(torch.optim, settings["torch"])
    return kind(model.parameters(), lr=settings["lr"], **settings["torch_args"])
def paddle_one(model, learning_rate, grad_clip, settings):
    kind = getattr(paddle.optimizer, settings["paddle"])
    return kind(learning_rate, parameters=model.parameters(), **settings["paddle_args"])
"""


def _models() -> tuple[Any, Any]:
    first, second = torch.nn.Linear(3, 2).double(), paddle.nn.Linear(3, 2)
    second.to(dtype="float64")
    second.weight.set_value(first.weight.detach().numpy().T)
    second.bias.set_value(first.bias.detach().numpy())
    return first, second


def _trainer(side: Any, model: Any, name: str, own: str) -> Trainer:
    spec, settings = Spec(name, args={"lr": 0.1}), dict[str, Any]()
    if name in NATIVE:
        names = (*IDS, "torch_args", "paddle_args")
        settings = {"lr": 0.1, **dict(zip(names, NATIVE[name], strict=True))}
        function = f"{own}:{IDS[SIDES.index(side)]}_one"
        spec = Spec(function=function, args={"lr": 0.1})
    made: Trainer = side.trainer(
        model, spec, None, settings=settings, precision=Precision.FLOAT64, round_scalars=True
    )
    return made


def _gradients(n: int) -> dict[str, Array]:
    random = np.random.default_rng(n)
    return {"weight": random.normal(size=(2, 3)), "bias": random.normal(size=2)}


def _step(side: Any, trainer: Trainer, n: int) -> None:
    values = _gradients(n)
    if side is paddle_training:
        values["weight"] = values["weight"].T
    trainer.put_gradients(values)
    trainer.update()


def _state(side: Any, trainer: Trainer) -> dict[str, dict[str, Array]]:
    found: dict[str, dict[str, Array]] = defaultdict(dict)
    for name, slot, value in trainer.state():
        array = np.asarray(value) if isinstance(value, float) else to_numpy(value)
        is_turned = side is paddle_training and array.ndim == 2
        found[name][slot] = array.T if is_turned else array
    return found


@pytest.fixture
def own(tmp_path: Any) -> str:
    path = tmp_path / "own.py"
    path.write_text(OWN, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", [*SLOTS, *NATIVE])
def test_both_frameworks_keep_the_same(name: str, own: str) -> None:
    states = []
    for side, model in zip(SIDES, _models(), strict=True):
        trainer = _trainer(side, model, name, own)
        for n in range(3):
            _step(side, trainer, n)
        states.append(_state(side, trainer))

    for parameter in ("weight", "bias"):
        first, second = (state.get(parameter, {}) for state in states)
        extra = {"step"} if "step" not in second else set()  # torch counts, paddle doesn't
        assert sorted(set(first) - extra) == sorted(second)
        if name in SLOTS:
            assert tuple(sorted(first)) == SLOTS[name]
        for slot in second:
            # Paddle keeps most coefficients in float32: 1 - 0.999 is off by 1.3e-5 there
            np.testing.assert_allclose(second[slot], first[slot], rtol=2e-5, err_msg=slot)


@pytest.mark.parametrize("name", [*SLOTS, *NATIVE])
@pytest.mark.parametrize("giver", [0, 1], ids=IDS)
def test_a_carried_state_goes_on_as_if_it_were_ones_own(name: str, giver: int, own: str) -> None:
    models = _models()
    sides = SIDES if giver == 0 else SIDES[::-1]
    first, second = models if giver == 0 else models[::-1]
    trainer = _trainer(sides[0], first, name, own)
    for n in range(3):
        _step(sides[0], trainer, n)
    carried = _state(sides[0], trainer)
    fresh = _trainer(sides[1], second, name, own)
    _put_weights(second, first)
    if sides[1] is paddle_training:
        carried = {n: {s: a.T for s, a in slots.items()} for n, slots in carried.items()}

    fresh.put_state(carried)
    _step(sides[0], trainer, 3)
    _step(sides[1], fresh, 3)

    # an update has size 0.1, and 1 - beta2 in float32 is off by 1.3e-5, its root by half of that
    np.testing.assert_allclose(_weight(second), _weight(first), atol=1e-6)


def _weight(model: Any) -> Array:
    values = to_numpy(model.weight)
    return values.T if isinstance(model, paddle.nn.Layer) else values


def _put_weights(target: Any, source: Any) -> None:
    weight, bias = _weight(source), to_numpy(source.bias)
    if isinstance(target, paddle.nn.Layer):
        target.weight.set_value(weight.T)
        target.bias.set_value(bias)
    else:
        target.weight.data, target.bias.data = torch.tensor(weight), torch.tensor(bias)
