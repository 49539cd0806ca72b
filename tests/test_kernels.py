"""Kernels with float32 constants: how far off in float64, and that twins even out just that."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as P
import pytest
import torch
import torch.nn.functional as T

from portalign import frameworks
from portalign.compare.tolerance import TWIN_RELATIVE
from portalign.frameworks.paddlepaddle import kernels as paddles
from portalign.frameworks.pytorch import kernels as torchs

Function = Callable[[Any], Any]
RANDOM = np.random.default_rng(0)
IMAGES, WIDE, VOLUMES, ROWS = (
    RANDOM.normal(size=shape) for shape in ((2, 3, 11, 14), (2, 3, 17), (1, 2, 5, 6, 7), (4, 30))
)
# What roundings of float64 leave: up to 200 summands of 1e-16 each.
EXACT = 1e-14


def _resize(mode: str, **how: Any) -> tuple[Function, Function]:
    return (
        lambda t: T.interpolate(t, mode=mode, **how),
        lambda p: P.interpolate(p, mode=mode, **how),
    )


# name: (input, torch, paddle)
CASES: dict[str, tuple[Any, Function, Function]] = {
    "pool2d 3x3": (IMAGES, lambda t: T.avg_pool2d(t, 3), lambda p: P.avg_pool2d(p, 3)),
    "pool2d 2x3, pads counted": (
        IMAGES,
        lambda t: T.avg_pool2d(t, (2, 3), 2, 1),
        lambda p: P.avg_pool2d(p, (2, 3), 2, 1, exclusive=False),
    ),
    "pool2d, pads left out": (
        IMAGES,
        lambda t: T.avg_pool2d(t, 3, 2, 1, count_include_pad=False),
        lambda p: P.avg_pool2d(p, 3, 2, 1),
    ),
    "pool2d, ceiling": (
        IMAGES,
        lambda t: T.avg_pool2d(t, 3, 2, 1, ceil_mode=True),
        lambda p: P.avg_pool2d(p, 3, 2, 1, ceil_mode=True, exclusive=False),
    ),
    "pool2d, channels last": (
        IMAGES,
        lambda t: T.avg_pool2d(t, 3),
        lambda p: P.avg_pool2d(p.transpose([0, 2, 3, 1]), 3, data_format="NHWC").transpose(
            [0, 3, 1, 2]
        ),
    ),
    "pool2d of one axis": (WIDE, lambda t: T.avg_pool1d(t, 3), lambda p: P.avg_pool1d(p, 3)),
    "pool2d, adaptive": (
        IMAGES,
        lambda t: T.adaptive_avg_pool2d(t, (3, 5)),
        lambda p: P.adaptive_avg_pool2d(p, (3, 5)),
    ),
    "pool2d, all": (
        IMAGES[:, :, :7, :7],
        lambda t: T.adaptive_avg_pool2d(t, 1),
        lambda p: P.adaptive_avg_pool2d(p, 1),
    ),
    "pool3d": (VOLUMES, lambda t: T.avg_pool3d(t, 3), lambda p: P.avg_pool3d(p, 3)),
    "linear_interp": (
        WIDE,
        lambda t: T.interpolate(t, size=23, mode="linear"),
        lambda p: P.interpolate(p, size=[23], mode="linear"),
    ),
    "bilinear_interp": (IMAGES, *_resize("bilinear", size=(13, 9))),
    "bilinear_interp, corners": (IMAGES, *_resize("bilinear", size=(13, 1), align_corners=True)),
    "bilinear_interp, factor": (IMAGES, *_resize("bilinear", scale_factor=1.3)),
    "bicubic_interp": (IMAGES, *_resize("bicubic", size=(13, 9))),
    "bicubic_interp, corners": (IMAGES, *_resize("bicubic", size=(13, 9), align_corners=True)),
    "trilinear_interp": (VOLUMES, *_resize("trilinear", size=(7, 6, 5))),
    "hardsigmoid": (ROWS, T.hardsigmoid, P.hardsigmoid),
    "hardsigmoid, the slope a sixth": (ROWS, T.hardsigmoid, lambda p: P.hardsigmoid(p, 1 / 6)),
    "selu": (ROWS, T.selu, P.selu),
    "elu": (ROWS, lambda t: T.elu(t, 0.3), lambda p: P.elu(p, 0.3)),
    "celu": (ROWS, lambda t: T.celu(t, 0.3), lambda p: P.celu(p, 0.3)),
    "hardtanh": (ROWS, lambda t: T.hardtanh(t, -0.3, 0.7), lambda p: P.hardtanh(p, -0.3, 0.7)),
    "softshrink": (ROWS, lambda t: T.softshrink(t, 0.3), lambda p: P.softshrink(p, 0.3)),
    "pow": (ROWS, lambda t: t.abs() ** 2.3, lambda p: p.abs() ** 2.3),
}


def _passes(
    name: str, function: Function, x: np.ndarray, *, is_lifted: bool
) -> tuple[list[np.ndarray], list[str]]:
    """Values and gradient in float64, and the notes of a twin."""
    opened: AbstractContextManager[list[str]] = nullcontext([])
    if is_lifted:
        opened = frameworks.load(name).lifted()
    with opened as notes:
        values = torch.tensor(x) if name == "torch" else paddle.to_tensor(x)
        if name == "torch":
            values.requires_grad = True
        else:
            values.stop_gradient = False
        out = function(values)
        weights = np.random.default_rng(1).normal(size=tuple(out.shape))
        (
            out * (torch.tensor(weights) if name == "torch" else paddle.to_tensor(weights))
        ).sum().backward()
    return [out.detach().numpy(), values.grad.numpy()], notes


def _distances(case: tuple[Any, Function, Function], *, is_lifted: bool) -> tuple[list[float], str]:
    """Relative distance of torch and paddle, forward and backward, and their notes."""
    x, reference, candidate = case
    ours, notes = _passes("torch", reference, x, is_lifted=is_lifted)
    theirs, more = _passes("paddle", candidate, x, is_lifted=is_lifted)
    found = [
        float(np.linalg.norm(a - b) / np.linalg.norm(a)) for a, b in zip(ours, theirs, strict=True)
    ]
    return found, " ".join([*notes, *more])


@pytest.mark.parametrize("name", CASES)
def test_a_kernel_is_off_in_float64_by_what_its_floor_says_and_its_twin_is_not(name: str) -> None:
    operation = name.split(",")[0].split()[0]
    floor = next(each for each in paddles.FLOORS if operation in each.operations)

    bare, _ = _distances(CASES[name], is_lifted=False)
    lifted, notes = _distances(CASES[name], is_lifted=True)

    assert max(bare) <= floor.size
    assert max(bare[0 if "forward" in floor.direction else 1 :]) > TWIN_RELATIVE
    assert max(lifted) <= EXACT
    assert f"paddle's {operation} {floor.why}" in notes


@pytest.mark.parametrize("floor", torchs.FLOORS, ids=lambda each: each.functions[0].__name__)
def test_two_kernels_of_torch_are_off_likewise(floor: torchs.Floor) -> None:
    name = floor.functions[0].__name__
    function = CASES[name][1]
    (_, bare), _ = _passes("torch", function, ROWS, is_lifted=False)

    (_, lifted), notes = _passes("torch", function, ROWS, is_lifted=True)

    distance = np.linalg.norm(bare - lifted) / np.linalg.norm(lifted)
    assert TWIN_RELATIVE < distance <= floor.size
    assert notes[0].startswith(f"torch's {name} {floor.why}")


def test_an_activation_in_place_stays_in_place() -> None:
    with frameworks.load("torch").lifted():
        x = torch.tensor(ROWS)
        out = T.hardsigmoid(x, inplace=True)

    assert out is x
    np.testing.assert_allclose(x, np.clip(ROWS / 6 + 0.5, 0, 1), rtol=EXACT)


FAULTS: dict[str, tuple[Any, Function, Function]] = {
    "another window": (
        IMAGES,
        lambda t: T.avg_pool2d(t, 3, 1),
        lambda p: P.avg_pool2d(p, (3, 2), 1)[..., :12],
    ),
    "pads left out": (
        IMAGES,
        lambda t: T.avg_pool2d(t, 3, 2, 1),
        lambda p: P.avg_pool2d(p, 3, 2, 1),
    ),
    "a gradient off by 3e-8": (
        IMAGES,
        lambda t: T.avg_pool2d(t, 3),
        lambda p: P.avg_pool2d(p + 3e-8 * (p - p.detach()), 3),
    ),
    "corners": (
        IMAGES,
        lambda t: T.interpolate(t, size=(13, 9), mode="bilinear"),
        lambda p: P.interpolate(p, size=(13, 9), mode="bilinear", align_corners=True),
    ),
    "points": (
        IMAGES,
        lambda t: T.interpolate(t, size=(13, 9), mode="bilinear"),
        lambda p: P.interpolate(p, size=(13, 9), mode="bilinear", align_mode=1),
    ),
    "slope a fifth": (ROWS, T.hardsigmoid, lambda p: P.hardsigmoid(p, 0.2)),
    "alpha off by 1e-7": (ROWS, lambda t: T.elu(t, 0.3), lambda p: P.elu(p, 0.3000001)),
    "exponent off by 1e-7": (ROWS, lambda t: t.abs() ** 2.3, lambda p: p.abs() ** 2.3000001),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_at_such_a_kernel_is_as_large_in_the_twins_as_it_is(name: str) -> None:
    lifted, _ = _distances(FAULTS[name], is_lifted=True)

    assert max(lifted) > 10 * TWIN_RELATIVE


def test_a_group_norm_without_weight_and_bias_stays_wrong_and_is_named() -> None:
    case = (
        IMAGES[:, :, :6, :6].reshape(2, 6, 18),
        lambda t: T.group_norm(t, 2),
        lambda p: P.group_norm(p, 2),
    )

    (forward, backward), notes = _distances(case, is_lifted=True)

    assert forward < 1e-11  # eps, which the torch twin rounds where it is a module's
    assert backward > 1e-2
    assert "paddle's group_norm without weight and bias returns a wrong gradient" in notes
    assert "its twin doesn't" not in notes


@pytest.mark.parametrize("name", ["torch", "paddle"])
def test_kernels_with_exact_constants_are_left_alone(name: str) -> None:
    functions = {
        "torch": (lambda t: T.avg_pool2d(t, 2), T.relu),
        "paddle": (lambda p: P.avg_pool2d(p, 2), P.relu, lambda p: P.elu(p, 0.5), P.relu6),
    }

    for function in functions[name]:
        bare, _ = _passes(name, function, IMAGES, is_lifted=False)
        lifted, notes = _passes(name, function, IMAGES, is_lifted=True)

        assert notes == []
        assert [a.tobytes() for a in bare] == [b.tobytes() for b in lifted]


LOGITS = RANDOM.normal(size=(32, 10)) * 60
LABELS = RANDOM.integers(0, 10, 32)
LOSSES: dict[str, tuple[Function, Function]] = {
    "labels": (
        lambda z: T.cross_entropy(z, torch.tensor(LABELS)),
        lambda z: P.cross_entropy(z, paddle.to_tensor(LABELS)),
    ),
    "ignored labels, summed, classes second": (
        lambda z: T.cross_entropy(
            z[None].mT, torch.tensor(LABELS[None]), ignore_index=3, reduction="sum"
        ),
        lambda z: P.cross_entropy(
            z[None].transpose([0, 2, 1]),
            paddle.to_tensor(LABELS[None]),
            ignore_index=3,
            reduction="sum",
            axis=1,
        ),
    ),
    "soft labels": (
        lambda z: T.cross_entropy(z, torch.full_like(z, 0.1)),
        lambda z: P.cross_entropy(z, paddle.full_like(z, 0.1), soft_label=True),
    ),
    "logarithms": (
        lambda z: T.nll_loss(T.log_softmax(z, -1), torch.tensor(LABELS)),
        lambda z: P.nll_loss(P.log_softmax(z, -1), paddle.to_tensor(LABELS)),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_that_paddle_cuts_off_is_torchs_without_the_cut(name: str) -> None:
    reference, candidate = LOSSES[name]
    exact = float(reference(torch.tensor(LOGITS)))

    loss, uncut = frameworks.load("paddle").uncut(lambda: candidate(paddle.to_tensor(LOGITS)))

    assert float(loss) == float(candidate(paddle.to_tensor(LOGITS)))
    assert float(loss) < 0.8 * exact
    assert float(uncut) == pytest.approx(exact, rel=EXACT)


def test_a_loss_with_nothing_to_cut_has_no_second_value() -> None:
    _, candidate = LOSSES["labels"]

    _, uncut = frameworks.load("paddle").uncut(lambda: candidate(paddle.to_tensor(LOGITS / 60)))

    assert uncut is None
