"""Metrics: scikit-learn and paddle.metric agree on the same scores, edge cases included."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

if TYPE_CHECKING:
    import paddle
else:
    pytest.importorskip("torch", reason="torch is not installed")
    with warnings.catch_warnings():
        # paddle 3.3.1 warns on import where ccache is missing.
        warnings.filterwarnings("ignore", message=".*ccache", category=UserWarning)
        paddle = pytest.importorskip("paddle", reason="paddle is not installed")
pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from portalign.errors import CaptureError
from portalign.frameworks.paddlepaddle import metrics as paddle_metrics
from portalign.frameworks.pytorch import metrics as torch_metrics
from portalign.request import Spec

Batches = list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]
SIDES = [torch_metrics, paddle_metrics]
ULP = 4e-16  # two sums of a few hundred exact counts, one division


def _batches(
    n_classes: int, *, sizes: tuple[int, ...] = (16, 16, 5), ties: bool = False, seed: int = 0
) -> Batches:
    random = np.random.default_rng(seed)
    batches = []
    for n in sizes:
        labels = random.integers(0, n_classes, n)
        scores = random.normal(size=(n, n_classes)) + 0.8 * np.eye(n_classes)[labels]
        batches.append((np.round(scores * 2) / 2 if ties else scores, labels))
    return batches


def _both(spec: Spec, batches: Batches) -> tuple[float, float]:
    first, second = (side.metric(spec)(batches) for side in SIDES)
    return first, second


SPECS = [
    Spec("accuracy"),
    *(Spec("accuracy", args={"k": k}) for k in (2, 5)),
    *(
        Spec(name, args={"average": average})
        for name in ("precision", "recall", "f1")
        for average in ("binary", "macro", "micro", "weighted")
    ),
    Spec("auc"),
]
CASES: dict[str, Callable[[int], Batches]] = {
    "short last batch": _batches,
    "ties": lambda n: _batches(n, ties=True, seed=1),
    "all scores equal": lambda n: [(np.zeros((9, n)), np.arange(9) % n)],
    "no positive prediction": lambda n: [(np.eye(n)[[0] * 9], np.arange(9) % n)],
    "one sample per batch": lambda n: _batches(n, sizes=(1,) * 7, seed=2),
    "float32": lambda n: [(s.astype(np.float32), y) for s, y in _batches(n, seed=3)],
    "bfloat16": lambda n: [(s.astype(ml_dtypes.bfloat16), y) for s, y in _batches(n, seed=4)],
    "a class that never occurs": lambda n: [
        (s - 9 * np.eye(n)[n - 1], y * (y < n - 1)) for s, y in _batches(n, seed=5)
    ],
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "spec", SPECS, ids=lambda s: "-".join([s.name, *map(str, s.args.values())])
)
def test_both_sides_agree(spec: Spec, case: str) -> None:
    is_binary = spec.name == "auc" or spec.args.get("average") == "binary"
    for n_classes in (2,) if is_binary else (3, 10, 40):
        if spec.args.get("k", 1) >= n_classes:
            continue
        first, second = _both(spec, CASES[case](n_classes))
        assert first == pytest.approx(second, abs=ULP, rel=ULP, nan_ok=True)


def test_ties_go_to_the_first_class() -> None:
    scores = np.array([[0.5, 0.5, 0.1], [0.2, 0.7, 0.7], [0.3, 0.3, 0.3]])
    labels = np.array([0, 2, 1])

    assert _both(Spec("accuracy"), [(scores, labels)]) == (1 / 3, 1 / 3)
    assert _both(Spec("accuracy", args={"k": 2}), [(scores, labels)]) == (1.0, 1.0)


def test_paddles_own_order_of_ties_is_why_its_compute_is_not_used() -> None:
    scores = np.zeros((50, 40), np.float32)
    labels = np.zeros(50, np.int64)
    own = paddle.metric.Accuracy()

    own.update(own.compute(paddle.to_tensor(scores), paddle.to_tensor(labels)))

    assert own.accumulate() != 1.0  # paddle 3.3.1: equal scores in any order from 17 classes on
    assert _both(Spec("accuracy"), [(scores, labels)]) == (1.0, 1.0)


def test_a_short_last_batch_counts_by_its_samples() -> None:
    right, wrong = np.eye(2)[[0, 0, 0]], np.eye(2)[[1]]
    batches = [(right, np.zeros(3, int)), (wrong, np.zeros(1, int))]

    assert _both(Spec("accuracy"), batches) == (0.75, 0.75)  # the mean of batch means is 0.5


def test_no_positive_prediction_is_zero_and_not_a_warning() -> None:
    batches = [(np.eye(2)[[0, 0]], np.array([0, 1]))]

    for name in ("precision", "recall", "f1"):
        assert _both(Spec(name), batches) == (0.0, 0.0)


def test_macro_leaves_out_a_class_that_never_occurs() -> None:
    batches = [(np.eye(3)[[0, 1, 1]], np.array([0, 1, 0]))]
    macro = Spec("recall", args={"average": "macro"})

    assert _both(macro, batches) == (0.75, 0.75)  # (1/2 + 1) / 2, not / 3


def test_auc_of_one_class_is_nan() -> None:
    for first in _both(Spec("auc"), [(np.eye(2)[[0, 1]], np.array([1, 1]))]):
        assert math.isnan(first)


@pytest.mark.parametrize("sharpness", [1, 4, 10, 40])
def test_auc_of_sharp_scores_agrees(sharpness: float) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 4000)
    scores = sharpness * (random.normal(size=(4000, 2)) + 0.5 * np.eye(2)[labels])

    batches = [(scores[:3000], labels[:3000]), (scores[3000:], labels[3000:])]
    first, second = _both(Spec("auc"), batches)

    assert second == pytest.approx(first, abs=1e-12, rel=0)  # sums of 4e6 pairs in double


def test_paddles_bins_of_probability_are_why_it_gets_ranks() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 4000)
    scores = 10 * (random.normal(size=(4000, 2)) + 0.5 * np.eye(2)[labels])
    own = paddle.metric.Auc(num_thresholds=2**20)

    own.update(paddle.nn.functional.softmax(paddle.to_tensor(scores)).numpy(), labels[:, None])

    assert abs(own.accumulate() - _both(Spec("auc"), [(scores, labels)])[0]) > 1e-3  # 4e-3


def test_nan_scores_make_every_metric_nan() -> None:
    batches = [(np.array([[np.nan, 1.0, 0.0], [1.0, 0.0, 0.0]]), np.array([0, 1]))]
    for spec in (Spec("accuracy"), Spec("f1", args={"average": "macro"})):
        for value in _both(spec, batches):
            assert math.isnan(value)


def test_label_columns_and_token_labels_are_accepted() -> None:
    (scores, labels), *_ = _batches(3)
    flat = _both(Spec("accuracy"), [(scores, labels)])

    assert _both(Spec("accuracy"), [(scores, labels[:, None])]) == flat
    tokens = [(scores.reshape(4, 4, 3), labels.reshape(4, 4))]
    assert _both(Spec("accuracy"), tokens) == flat


@pytest.mark.parametrize(
    ("spec", "batches", "said"),
    [
        pytest.param(Spec("accuracy"), [], "no scored sample", id="nothing"),
        pytest.param(
            Spec("accuracy"), [(np.zeros((0, 3)), np.zeros(0, int))], "no scored", id="empty batch"
        ),
        pytest.param(
            Spec("accuracy"), [(np.zeros((3, 1)), np.zeros(3, int))], "single column", id="1 column"
        ),
        pytest.param(
            Spec("accuracy"), [(np.zeros((3, 2)), np.zeros(4, int))], "labels [4]", id="lengths"
        ),
        pytest.param(
            Spec("accuracy"), [(np.zeros((3, 2)), np.zeros(3))], "float64", id="float labels"
        ),
        pytest.param(
            Spec("accuracy"), [(np.zeros((2, 2)), np.array([0, -100]))], "-100", id="ignored label"
        ),
        pytest.param(
            Spec("accuracy", args={"ignore_index": 1}),
            [(np.zeros((2, 3)), np.ones(2, int))],
            "no scored sample",
            id="only ignored labels",
        ),
        pytest.param(
            Spec("bleu"), [(np.zeros((2, 3)), np.zeros(2, int))], "not [n, tokens]", id="no text"
        ),
        pytest.param(
            Spec("miou"),
            [(np.zeros((2, 4, 3)), np.zeros((2, 4), int))],
            "scores [2, 4, 3] with labels [2, 4]",
            id="class axis",
        ),
        pytest.param(
            Spec("accuracy"),
            [(np.zeros((2, 2)), np.zeros(2, int)), (np.zeros((2, 3)), np.zeros(2, int))],
            "[2, 3] classes",
            id="class counts",
        ),
        pytest.param(
            Spec("accuracy", args={"k": 3}),
            [(np.zeros((2, 3)), np.zeros(2, int))],
            "k=3 of 3 classes",
            id="k can't fail",
        ),
        pytest.param(
            Spec("f1"), [(np.zeros((2, 3)), np.zeros(2, int))], "3 classes", id="binary of three"
        ),
    ],
)
def test_scores_that_mean_nothing_are_refused_alike(
    spec: Spec, batches: Batches, said: str
) -> None:
    for side in SIDES:
        with pytest.raises(CaptureError) as caught:
            side.metric(spec)(batches)
        assert said in caught.value.found


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (Spec("acuracy"), "known: accuracy, precision"),
        (Spec("accuracy", args={"topk": 5}), "known: ignore_index, axis, k"),
        (Spec("f1", args={"average": "samples"}), "one of binary, macro"),
    ],
    ids=["name", "argument", "value"],
)
def test_unknown_metrics_and_arguments_are_refused(spec: Spec, said: str) -> None:
    for side in SIDES:
        with pytest.raises(CaptureError) as caught:
            side.metric(spec)
        assert said in caught.value.found


def test_an_own_metric_gets_the_batches_and_must_return_a_number(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(
        "def n(batches):\n    return sum(len(y) for _, y in batches)\n"
        "def bad(batches):\n    return 'high'\n",
        encoding="utf-8",
    )

    assert _both(Spec(function=f"{path}:n"), _batches(2)) == (37.0, 37.0)
    for side in SIDES:
        with pytest.raises(CaptureError, match="returned a str, not a number"):
            side.metric(Spec(function=f"{path}:bad"))(_batches(2))


def test_exact_match_and_bleu_are_what_their_names_say() -> None:
    tokens = np.array([[1, 2, 3, 4, 5], [1, 2, 3, 4, 0]])
    labels = np.array([[1, 2, 3, 4, 5], [1, 2, 3, 5, -100]])
    batches = [(np.eye(6)[tokens], labels)]

    assert _both(Spec("exact_match"), batches) == (0.5, 0.5)
    # Matches of 9, 7, 5 and 3 n-grams: 8, 6, 4 (1 2 3 4, 2 3 4 5 and 1 2 3 twice) and 2.
    expected = (8 / 9 * 6 / 7 * 4 / 5 * 2 / 3) ** 0.25
    assert _both(Spec("bleu"), batches) == pytest.approx((expected, expected), rel=1e-15)
    assert _both(Spec("bleu", args={"max_n": 1}), batches) == pytest.approx((8 / 9, 8 / 9))


def test_bleu_without_a_match_of_some_order_is_zero() -> None:
    batches = [(np.eye(4)[[[0, 1, 0, 1]]], np.array([[0, 0, 0, 0]]))]

    assert _both(Spec("bleu"), batches) == (0.0, 0.0)


def test_perplexity_of_scores_that_lie_far_apart_is_not_cut_off() -> None:
    batches = [(np.array([[0.0, 70.0]]), np.array([0]))]

    assert _both(Spec("perplexity"), batches) == pytest.approx((math.exp(70),) * 2, rel=1e-12)
    as_is = _both(Spec("perplexity", args={"as_is": True}), batches)
    assert as_is == pytest.approx((math.exp(70), math.exp(64)), rel=1e-12)  # paddle on a CPU


def test_a_confusion_matrix_counts_labels_in_rows() -> None:
    batches = [(np.eye(3)[[0, 1, 1, 1]], np.array([0, 0, 1, 1]))]

    for found in _both(Spec("confusion_matrix"), batches):
        np.testing.assert_array_equal(found, [[1, 1, 0], [0, 2, 0], [0, 0, 0]])


def test_miou_leaves_out_ignored_pixels_and_absent_classes() -> None:
    labels = np.array([[[0, 1], [1, 255]]])
    scores = np.moveaxis(np.eye(4)[[[[0, 1], [0, 0]]]], -1, 1)  # [1, 4, 2, 2]

    # Class 0: 1 of 2, class 1: 1 of 2, classes 2 and 3 don't occur.
    found = _both(Spec("miou", args={"ignore_index": 255}), [(scores, labels)])
    assert found == (0.5, 0.5)
