"""Losses: torch and paddle give the same number under one name, and find the tensors they need."""

from __future__ import annotations

from collections import namedtuple
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from portalign.diagnose.known.cross_entropy import in_paddle, in_torch
from portalign.equivalents.arguments import TABLES, resolve
from portalign.equivalents.rows import Area
from portalign.errors import CaptureError
from portalign.frameworks.paddlepaddle import lifting as paddle_lifting
from portalign.frameworks.paddlepaddle import losses as paddle_losses
from portalign.frameworks.pytorch import lifting as torch_lifting
from portalign.frameworks.pytorch import losses as torch_losses
from portalign.request import Spec
from training_pair import paddle, torch

SIDES = [
    (torch_losses, torch_lifting, torch.tensor),
    (paddle_losses, paddle_lifting, paddle.to_tensor),
]
Floats = npt.NDArray[np.floating[Any]]
RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(12, 4))
CLASSES_ = RANDOM.integers(0, 4, 12)
TARGETS = RANDOM.normal(size=(12, 4))
BITS = RANDOM.integers(0, 2, (12, 4))


def _losses(spec: Spec, logits: Floats, labels: Any) -> list[float]:
    """Both sides' losses; float64 logits as in a twin, under the framework's `lifted`."""
    values = []
    for losses, lifting, tensor in SIDES:
        compute = losses.loss(spec, {}, round_scalars=True)
        with lifting.lifted() if logits.dtype == np.float64 else nullcontext():
            values.append(float(compute({"logits": tensor(logits)}, {"labels": tensor(labels)})))
    return values


CASES: dict[str, tuple[Spec, Floats, npt.NDArray[Any]]] = {
    "cross_entropy": (Spec("cross_entropy"), LOGITS, CLASSES_),
    "cross_entropy smoothed": (
        Spec("cross_entropy", args={"label_smoothing": 0.1}),
        LOGITS,
        CLASSES_,
    ),
    "cross_entropy label column": (Spec("cross_entropy"), LOGITS, CLASSES_[:, None]),
    "cross_entropy int32 labels": (Spec("cross_entropy"), LOGITS, CLASSES_.astype(np.int32)),
    "cross_entropy tokens": (
        Spec("cross_entropy"),
        LOGITS.reshape(3, 4, 4),
        CLASSES_.reshape(3, 4),
    ),
    "cross_entropy class axis": (
        Spec("cross_entropy", args={"axis": 1}),
        LOGITS.reshape(3, 4, 4),
        CLASSES_.reshape(3, 4),
    ),
    "cross_entropy ignores a class": (
        Spec("cross_entropy", args={"ignore_index": 2}),
        LOGITS,
        CLASSES_,
    ),
    "mse": (Spec("mse"), LOGITS, TARGETS),
    "mse label column": (Spec("mse"), LOGITS[:, :1], TARGETS[:, 0]),
    "l1": (Spec("l1"), LOGITS, TARGETS),
    "bce_with_logits": (Spec("bce_with_logits"), LOGITS, BITS),
}
ELSEWHERE = {"nll", "smooth_l1", "huber", "kl", "ctc", "cosine_embedding", "triplet"}


def test_every_loss_of_the_table_is_tested_here() -> None:
    named = {spec.name for spec, _, _ in CASES.values()}

    assert named | ELSEWHERE == set(TABLES[Area.LOSS])  # the table of equivalents runs the others


@pytest.mark.parametrize("case", CASES)
def test_both_sides_agree(case: str) -> None:
    spec, logits, labels = CASES[case]

    # Sums of 48 terms of size 1: 48 ulps of each dtype, measured at most 2.
    first, second = _losses(spec, logits, labels)
    assert first == pytest.approx(second, rel=48 * 2.2e-16)
    single = labels.astype(np.float32) if labels.dtype.kind == "f" else labels
    first, second = _losses(spec, logits.astype(np.float32), single)
    assert first == pytest.approx(second, rel=48 * 1.2e-7)


def test_label_smoothing_is_rounded_for_the_twins_only() -> None:
    spec = CASES["cross_entropy smoothed"][0]
    batch = {"labels": torch.tensor(CLASSES_)}
    values = {
        (rounds, dtype): float(
            torch_losses.loss(spec, {}, round_scalars=rounds)(
                torch.tensor(LOGITS, dtype=dtype), batch
            )
        )
        for rounds in (False, True)
        for dtype in (torch.float32, torch.float64)
    }

    assert values[False, torch.float32] == values[True, torch.float32]
    assert 0 < abs(values[False, torch.float64] - values[True, torch.float64]) < 1e-6


def test_smoothing_rounded_for_the_twins_still_leaves_ignored_labels_out() -> None:
    spec = Spec("cross_entropy", args={"label_smoothing": 0.1, "ignore_index": 2})
    batch = {"labels": torch.tensor(CLASSES_)}

    plain, rounded = (
        float(torch_losses.loss(spec, {}, round_scalars=rounds)(torch.tensor(LOGITS), batch))
        for rounds in (False, True)
    )

    assert plain == pytest.approx(rounded, rel=1e-6)  # float32 label rows: 12 ulps


def test_ignored_labels_count_in_paddles_mean_and_not_in_torchs() -> None:
    labels = CLASSES_.copy()
    labels[:3] = -100

    first, second = _losses(Spec("cross_entropy"), LOGITS, labels)

    assert second == pytest.approx(first * 9 / 12, rel=1e-12)  # 9 of 12 kept


def test_smoothing_ignored_labels_is_refused_by_paddle_with_a_reason() -> None:
    labels = CLASSES_.copy()
    labels[0] = -100
    spec = CASES["cross_entropy smoothed"][0]

    with pytest.raises(CaptureError, match="cross_entropy refuses these labels"):
        paddle_losses.loss(spec, {})(paddle.to_tensor(LOGITS), {"labels": paddle.to_tensor(labels)})


Pair = namedtuple("Pair", ["logits", "hidden"])


@dataclass
class Output:
    """A dataclass output, as transformers' older models have."""

    hidden: Any
    logits: Any


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda t: t, id="bare"),
        pytest.param(lambda t: {"hidden": -t, "logits": t}, id="dict"),
        pytest.param(lambda t: Output(hidden=-t, logits=t), id="attribute"),
        pytest.param(lambda t: (t, -t), id="tuple"),
        pytest.param(lambda t: [t, -t], id="list"),
        pytest.param(lambda t: Pair(t, -t), id="namedtuple"),
    ],
)
def test_the_output_is_found_in_whatever_the_model_returns(wrap: Any) -> None:
    for losses, _, tensor in SIDES:
        compute = losses.loss(Spec("cross_entropy"), {})
        batch = {"labels": tensor(CLASSES_)}

        assert float(compute(wrap(tensor(LOGITS)), batch)) == float(compute(tensor(LOGITS), batch))


def test_output_and_labels_can_be_named() -> None:
    spec = Spec("mse", args={"output": "hidden", "labels": "target"})
    by_index = Spec("mse", args={"output": 1, "labels": "target"})
    for losses, _, tensor in SIDES:
        batch = {"target": tensor(TARGETS)}
        hidden, other = tensor(TARGETS), tensor(LOGITS)

        assert float(losses.loss(spec, {})({"logits": other, "hidden": hidden}, batch)) == 0.0
        assert float(losses.loss(by_index, {})((other, hidden), batch)) == 0.0


@pytest.mark.parametrize(
    ("outputs", "labels", "spec", "said"),
    [
        pytest.param(
            {"scores": LOGITS}, CLASSES_, Spec("cross_entropy"), "dict of scores", id="dict"
        ),
        pytest.param((), CLASSES_, Spec("cross_entropy"), "tuple of 0", id="empty tuple"),
        pytest.param(None, CLASSES_, Spec("cross_entropy"), "NoneType", id="none"),
        pytest.param(LOGITS, None, Spec("cross_entropy"), "no field 'labels'", id="labels"),
        pytest.param(LOGITS, TARGETS, Spec("cross_entropy"), "wants integers", id="soft labels"),
        pytest.param(
            LOGITS, TARGETS[:, 0], Spec("mse"), "[12, 4] but the labels are [12]", id="shape"
        ),
    ],
)
def test_what_a_loss_cannot_use_is_refused_alike(
    outputs: Any, labels: Any, spec: Spec, said: str
) -> None:
    for losses, _, tensor in SIDES:
        given = tensor(outputs) if isinstance(outputs, np.ndarray) else outputs
        if isinstance(outputs, dict):
            given = {name: tensor(array) for name, array in outputs.items()}
        batch = {} if labels is None else {"labels": tensor(labels)}

        with pytest.raises(CaptureError) as caught:
            losses.loss(spec, {})(given, batch)
        assert said in caught.value.found


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (Spec("crossentropy"), "known: cross_entropy, nll, mse"),
        (Spec("mse", args={"weight": 2}), "no argument 'weight'; known: output, labels"),
        (Spec("mse", args={"reduction": "batchmean"}), "wanted one of mean, sum, none"),
        (Spec("bce_with_logits", args={"pos_weight": [1, 0]}), "wanted a list of numbers > 0"),
        (Spec("cross_entropy", args={"label_smoothing": 1.0}), "wanted a number >= 0 and < 1"),
        (Spec(function="/x.py:fn", args={"output": "a"}), "known: none, it reads the settings"),
    ],
    ids=["name", "argument", "reduction", "weights", "value", "own"],
)
def test_unknown_losses_and_arguments_are_refused(spec: Spec, said: str) -> None:
    for losses, _, _ in SIDES:
        with pytest.raises(CaptureError) as caught:
            losses.loss(spec, {})
        assert said in caught.value.found


def test_a_loss_of_several_outputs_wants_several() -> None:
    spec = Spec("triplet", args={"positive": "positive", "negative": "negative"})
    for losses, _, tensor in SIDES:
        one, other = tensor(LOGITS), tensor(TARGETS)
        compute = losses.loss(spec, {})

        for outputs, said in (
            (one, "it is one tensor"),
            ((one, other, one), "it is a tuple of 3"),  # a name means the first of a tuple
            ({"anchor": one, "positive": other, "negative": one}, "no tensor 0; it is a dict"),
        ):
            with pytest.raises(CaptureError, match=said):
                compute(outputs, {})


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gradients_of_label_rows_agree_although_float32_rows_miss_one(
    reduction: str, smoothing: float
) -> None:
    rows = RANDOM.dirichlet(np.ones(4), 12).astype(np.float32)
    assert (rows.sum(1, dtype=np.float64) != 1).any()
    args = {"soft_labels": True, "label_smoothing": smoothing, "reduction": reduction}
    spec, labels = Spec("cross_entropy", args=args), rows.astype(np.float64)

    reference, candidate = (_value_and_gradient(side, spec, LOGITS, labels)[1] for side in SIDES)
    naive = _value_and_gradient(SIDES[0], spec, LOGITS, labels, round_scalars=False)[1]

    size = np.abs(reference).max()
    assert np.abs(reference - candidate).max() < 1e-14 * size  # measured: 3e-16
    assert np.abs(naive - candidate).max() > 1e-10 * size  # measured: 2e-8


def test_paddles_nll_loss_reduces_ignored_labels_right_in_the_twin() -> None:
    labels = CLASSES_.copy()
    labels[:3] = -100
    weights = [0.5, 2.0, 1.0, 1.5]
    for args in ({}, {"class_weights": weights}, {"reduction": "sum"}):
        # Float64 without `lifted` writes beyond its memory in paddle 3.3.1.
        first, second = _losses(Spec("nll", args=args), LOGITS, labels)

        assert first == pytest.approx(second, rel=48 * 2.2e-16)


def test_an_own_loss_must_give_one_number(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(
        "def good(outputs, batch):\n    return (outputs - batch['labels']).sum()\n"
        "def rows(outputs, batch):\n    return outputs.sum(-1)\n"
        "def item(outputs, batch):\n    return float(outputs.sum())\n",
        encoding="utf-8",
    )
    for losses, _, tensor in SIDES:
        batch = {"labels": tensor(TARGETS)}

        good = losses.loss(Spec(function=f"{path}:good"), {})(tensor(LOGITS), batch)

        assert float(good) == pytest.approx((LOGITS - TARGETS).sum(), rel=1e-12)
        for name, said in (("rows", r"returned \[12\]"), ("item", "returned float")):
            with pytest.raises(CaptureError, match=said):
                losses.loss(Spec(function=f"{path}:{name}"), {})(tensor(LOGITS), batch)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("far", [1.0, 60.0], ids=["near", "beyond the cut"])
def test_the_formulas_of_cross_entropy_are_what_both_frameworks_compute(
    far: float, reduction: str
) -> None:
    rows = RANDOM.dirichlet(np.ones(4), 12).astype(np.float32).astype(np.float64)
    ignoring = np.where(np.arange(12) < 4, -100, CLASSES_)
    by_axis = np.where(np.arange(12) < 4, -100, CLASSES_).reshape(3, 4)
    given: list[tuple[dict[str, Any], Floats, npt.NDArray[Any]]] = [
        ({}, LOGITS, ignoring),
        ({"axis": 1}, LOGITS.reshape(3, 4, 4), by_axis),
        ({"ignore_index": 2}, LOGITS, CLASSES_),
        ({"label_smoothing": 0.1}, LOGITS, CLASSES_),
        ({"label_smoothing": 0.1, "ignore_index": 2}, LOGITS, CLASSES_),
        ({"soft_labels": True}, LOGITS, rows),
        ({"soft_labels": True, "label_smoothing": 0.1}, LOGITS, rows),
    ]
    for weights in ([], [0.5, 2.0, 1.0, 1.5]):
        for args, scores, labels in given:
            spec = Spec(
                "cross_entropy", args={**args, "class_weights": weights, "reduction": reduction}
            )
            logits, arguments = far * scores, resolve(Area.LOSS, spec)
            found = [_value_and_gradient(side, spec, logits, labels) for side in SIDES]
            made = [
                in_torch(logits, labels, arguments),
                in_paddle(logits, labels, arguments, is_cut=True),
            ]

            for loss, (value, gradient) in zip(made, found, strict=True):
                # Sums of at most 48 terms; measured: at most 4e-16.
                assert loss.value == pytest.approx(value, rel=48 * 2.2e-16)
                size = np.abs(gradient).max()
                assert loss.gradient == pytest.approx(gradient, abs=48 * 2.2e-16 * size), spec


def _value_and_gradient(
    side: Any, spec: Spec, logits: Floats, labels: Any, *, round_scalars: bool = True
) -> tuple[float, npt.NDArray[Any]]:
    losses, lifting, tensor = side
    leaf = tensor(logits)
    leaf.stop_gradient = False
    leaf = leaf.requires_grad_() if isinstance(leaf, torch.Tensor) else leaf
    with lifting.lifted():
        compute = losses.loss(spec, {}, round_scalars=round_scalars)
        loss = compute(leaf, {"labels": tensor(labels)})
        loss.backward()
    return float(loss.detach()), leaf.grad.numpy()
