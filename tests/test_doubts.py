"""Which doubts a step is asked, and with which of its numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from portalign.compare.doubts import doubts
from portalign.compare.pairs import compare, overall
from portalign.mapping.layouts import AS_IS
from portalign.mapping.pair import Pair
from portalign.records import Kind, Role, SideInfo, Step, TensorKey, TensorRecord
from portalign.results import Outcome

VALUES = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
TORCH, PADDLE = (
    SideInfo(
        role=role,
        framework=framework,
        framework_version="1",
        python="3.11",
        device="cpu",
        mode="eval",
        seed=0,
        threads=1,
        source=f"/port/{framework}_side.py:build",
        source_sha256=framework,
    )
    for role, framework in zip(Role, ("torch", "paddle"), strict=True)
)


def _pair(kind: Kind, values: Any, path: str = "x", slot: str = "", iteration: int = 0) -> Pair:
    key = TensorKey(kind, path, slot, iteration=iteration)
    record = TensorRecord(key, iteration, np.asarray(values), "float32")
    return Pair(record, record, AS_IS, "same key", f"{kind.value} {path}")


def _scores(classes: list[int]) -> np.ndarray:
    return np.eye(3, dtype=np.float32)[classes] + 0.1


STEPS: dict[Step, list[Pair]] = {
    Step.FORWARD: [
        _pair(Kind.PARAMETER, VALUES),
        _pair(Kind.ACTIVATION, VALUES),
        _pair(Kind.OUTPUT, VALUES, "logits"),
    ],
    Step.METRIC: [
        _pair(Kind.INPUT, VALUES),
        _pair(Kind.PREDICTION, _scores([0, 1, 2, 0]), "logits"),
        _pair(Kind.METRIC, 0.75, "accuracy", "own"),
        _pair(Kind.METRIC, 1.0, "accuracy", "ties"),
    ],
    Step.LR_SCHEDULER: [_pair(Kind.LR, np.arange(9.0))],
    Step.BACKWARD: [
        _pair(Kind.LOSS, 0.7),
        _pair(Kind.LOSS, 0.6, iteration=1),
        _pair(Kind.GRADIENT, VALUES),
        _pair(Kind.LR, 0.1),
        _pair(Kind.PARAMETER, VALUES),
        _pair(Kind.PARAMETER, VALUES + 1, iteration=1),
    ],
}
PORT: dict[str, object] = {
    "reference": {"framework": "torch"},
    "candidate": {"framework": "paddle"},
    "tolerance": {"mean": 1e-6},
}


def _doubts(
    step: Step, pairs: list[Pair], sides: tuple[SideInfo, ...] = (TORCH, PADDLE), **port: object
) -> list[str]:
    comparisons = [
        compare(p.reference.array, p.candidate.array, key=p.reference.key) for p in pairs
    ]
    assert overall(tuple(comparisons)) is Outcome.PASS
    return [one.rule for one in doubts({**PORT, **port}, step, pairs, comparisons, sides)]


def _with(step: Step, *changed: Pair) -> list[Pair]:
    """The step's pairs with those of these keys in place of its own."""
    new = {pair.reference.key: pair for pair in changed}
    return [new.get(pair.reference.key, pair) for pair in STEPS[step]]


@pytest.mark.parametrize("step", Step, ids=[step.value for step in Step])
def test_an_honest_step_is_not_doubted(step: Step) -> None:
    assert _doubts(step, STEPS[step]) == []


@pytest.mark.parametrize("step", Step, ids=[step.value for step in Step])
def test_a_step_without_one_of_its_kinds_is_doubted(step: Step) -> None:
    last = STEPS[step][-1].reference.key.kind
    left = [pair for pair in STEPS[step] if pair.reference.key.kind is not last]

    assert "too-few-keys" in _doubts(step, left or [_pair(Kind.BUFFER, VALUES)])


@pytest.mark.parametrize(
    ("step", "pairs", "rules"),
    [
        (
            Step.METRIC,
            _with(Step.METRIC, _pair(Kind.METRIC, 1.0, "accuracy", "own")),
            ["saturated-metric"],
        ),
        (
            Step.METRIC,
            _with(Step.METRIC, _pair(Kind.PREDICTION, _scores([1, 1, 1]), "logits")),
            ["one-class"],
        ),
        (
            Step.LR_SCHEDULER,
            [_pair(Kind.LR, np.full(9, 0.1))],
            ["constant-learning-rate"],
        ),
        (
            Step.BACKWARD,
            _with(Step.BACKWARD, _pair(Kind.LOSS, 0.7, iteration=1)),
            ["constant-loss"],
        ),
        (
            Step.BACKWARD,
            _with(Step.BACKWARD, _pair(Kind.GRADIENT, np.zeros(4))),
            ["zero-gradients"],
        ),
        (
            Step.BACKWARD,
            _with(Step.BACKWARD, _pair(Kind.PARAMETER, VALUES, iteration=1)),
            ["unmoved-weights"],
        ),
    ],
    ids=["saturated", "one class", "constant rate", "constant loss", "no gradient", "unmoved"],
)
def test_a_vain_step_is_doubted(step: Step, pairs: list[Pair], rules: list[str]) -> None:
    assert _doubts(step, pairs) == rules


def test_a_rate_that_is_meant_to_be_constant_is_not_doubted() -> None:
    pairs = [_pair(Kind.LR, np.full(9, 0.1))]

    assert _doubts(Step.LR_SCHEDULER, pairs, lr_scheduler={"name": "constant"}) == []


@pytest.mark.parametrize("step", Step, ids=[step.value for step in Step])
def test_a_tolerance_of_a_thousand_is_doubted_in_every_step(step: Step) -> None:
    assert _doubts(step, STEPS[step], tolerance={"mean": 1e3}) == ["loose-tolerance"]


def test_one_side_run_twice_is_doubted_wherever_a_model_runs() -> None:
    asked = {step: _doubts(step, STEPS[step], (TORCH, TORCH)) for step in Step}

    assert asked.pop(Step.LR_SCHEDULER) == []
    assert all(rules == ["same-side"] for rules in asked.values()), asked
