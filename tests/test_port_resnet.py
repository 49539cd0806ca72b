"""The shipped resnet port: real digits, a reference neither guessing nor perfect, equal twins."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Mapping
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
pytest.importorskip("sklearn", reason="scikit-learn, which ships the digits, is not installed")

from portalign.ports.resnet import data, paddle_side, torch_side

Floats = npt.NDArray[np.floating[Any]]
_BUFFER_NAMES = {"_mean": "running_mean", "_variance": "running_var"}


@pytest.fixture(scope="module")
def reference() -> torch.nn.Module:
    return torch_side.build({})


def carried(reference: torch.nn.Module) -> paddle.nn.Layer:
    """A candidate with the reference's weights, in the precision of the reference."""
    known = {name: tensor.numpy() for name, tensor in reference.state_dict().items()}
    candidate = paddle_side.build({})
    if known["fc.weight"].dtype == np.float64:
        candidate.to(dtype="float64")
    for name, tensor in candidate.state_dict().items():
        stem, _, slot = name.rpartition(".")
        values = known[f"{stem}.{_BUFFER_NAMES.get(slot, slot)}"]
        tensor.set_value(values.T.copy() if name == "fc.weight" else values)
    return candidate


def logits_of_both(
    reference: torch.nn.Module, candidate: paddle.nn.Layer, images: Floats
) -> tuple[Floats, Floats]:
    with torch.no_grad():
        of_reference = reference(torch.from_numpy(images)).numpy()
    with paddle.no_grad():
        of_candidate = candidate(paddle.to_tensor(images)).numpy()
    return of_reference, of_candidate


def distance(reference: Floats, candidate: Floats) -> float:
    """Relative Frobenius norm of the difference, in float64."""
    exact = reference.astype(np.float64)
    return float(np.linalg.norm(exact - candidate) / np.linalg.norm(exact))


def lifted(reference: torch.nn.Module) -> torch.nn.Module:
    """The float64 twin, with the norm eps rounded to float32 as Paddle keeps it."""
    twin = torch_side.build({"training_iterations": 0}).double()
    twin.load_state_dict(reference.state_dict())
    for module in twin.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = float(np.float32(module.eps))
    return twin


def accuracy(logits: Floats, labels: npt.NDArray[np.int64], *, k: int) -> float:
    best = np.argsort(-logits, axis=1, kind="stable")[:, :k]  # [n, k]
    return float((best == labels[:, None]).any(axis=1).mean())


def test_batches_are_real_digits_in_order_with_a_short_last_one() -> None:
    batches = list(data.batches({}))

    assert [len(batch["labels"]) for batch in batches] == [32] * 9 + [9]
    for batch in batches:
        assert batch["images"].shape == (len(batch["labels"]), 3, 32, 32)
        assert batch["images"].dtype == np.float32
        assert batch["labels"].dtype == np.int64
    assert set(np.concatenate([batch["labels"] for batch in batches])) == set(range(10))


@pytest.mark.parametrize("settings", [{}, {"batch_size": 50}], ids=["default", "batch_size"])
def test_batches_are_the_same_bytes_every_time(settings: Mapping[str, object]) -> None:
    first, second = (list(data.batches(settings)) for _ in range(2))

    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys() == {"images", "labels"}
        assert all(one[name].tobytes() == other[name].tobytes() for name in one)


def test_no_test_digit_is_trained_on() -> None:
    training, _ = data.training_part()
    kept = np.concatenate([batch["images"] for batch in data.batches({})])

    assert len(training) == data.N_TRAINING
    assert not {image.tobytes() for image in training} & {image.tobytes() for image in kept}


def test_reading_the_port_does_not_import_sklearn() -> None:
    code = "import sys, portalign.ports.resnet.data; print('sklearn' in sys.modules)"

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )

    assert done.stdout.strip() == "False"


def test_each_build_gives_the_same_weights_and_leaves_torch_as_it_was() -> None:
    settings = {"training_iterations": 2}
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    n_threads = torch.get_num_threads()

    first, second = (torch_side.build(settings).state_dict() for _ in range(2))

    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == n_threads


def test_another_seed_gives_other_weights() -> None:
    one, other = (torch_side.build({"training_iterations": 0, "seed": seed}) for seed in (0, 1))

    assert not torch.equal(one.conv1.weight, other.conv1.weight)


def test_both_sides_have_the_same_parameters() -> None:
    reference = torch_side.build({"training_iterations": 0})
    shapes = {name: tuple(p.shape) for name, p in reference.named_parameters()}
    theirs = {
        name: tuple(p.shape)
        for name, p in paddle_side.build({}).named_parameters()
        if not name.endswith(("._mean", "._variance"))
    }

    assert shapes.pop("fc.weight") == (10, 512)
    assert theirs.pop("fc.weight") == (512, 10)
    assert shapes == theirs


def test_logits_agree_in_float32(reference: torch.nn.Module) -> None:
    images = data.test_part()[0][:32]

    logits = logits_of_both(reference, carried(reference), images)

    # Measured 8e-7 at most over all batches on torch 2.13.0 and paddle 3.3.1.
    assert distance(*logits) <= 5e-6


def test_logits_agree_in_float64_once_eps_is_rounded_alike(reference: torch.nn.Module) -> None:
    images = data.test_part()[0][:8].astype(np.float64)
    twin = lifted(reference)
    candidate = carried(twin)

    rounded_alike = distance(*logits_of_both(twin, candidate, images))
    for module in twin.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-5
    as_they_are = distance(*logits_of_both(twin, candidate, images))

    # Far under what a defect of the model makes; without the rounding Paddle's float32 eps shows.
    assert rounded_alike <= 1e-12
    assert as_they_are > rounded_alike


def test_a_wrong_eps_shows_in_float64(reference: torch.nn.Module) -> None:
    images = data.test_part()[0][:8].astype(np.float64)
    twin = lifted(reference)
    candidate = carried(twin)
    twin.bn1.eps = 1e-3

    logits = logits_of_both(twin, candidate, images)

    assert distance(*logits) > 1e-9


def test_accuracy_is_equal_and_neither_chance_nor_saturated(reference: torch.nn.Module) -> None:
    images, labels = data.test_part()

    logits = logits_of_both(reference, carried(reference), images)

    (top1, top1_candidate), (top5, top5_candidate) = (
        [accuracy(each, labels, k=k) for each in logits] for k in (1, 5)
    )
    assert top1 == top1_candidate
    assert top5 == top5_candidate
    assert 0.8 < top1 < 0.98  # measured 0.923; chance is 0.1
    assert 0.95 < top5 < 1.0  # measured 0.990; chance is 0.5
