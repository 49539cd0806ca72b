"""Causes of training faults: arguments are read off updates and clips, and nothing is invented."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest

from causes.places import module
from portalign.compare.fed import batch_links
from portalign.diagnose.known.updates import Start
from portalign.diagnose.rules.dropout_rate import RULE as DROPOUT
from portalign.diagnose.training.arguments import FORMULAS, misfit, read
from portalign.diagnose.training.batches import explain_batches
from portalign.diagnose.training.clipping import Clip, clipped_to
from portalign.diagnose.training.clipping import read as read_clip
from portalign.diagnose.training.observed import Update
from portalign.records import Kind, TensorKey, TensorRecord

Floats = npt.NDArray[np.float64]
N, RATE = 40, 0.01
ADAM = {
    "beta1": 0.9,
    "beta2": 0.999,
    "l2": 0.0,
    "amsgrad": 0.0,
    "bias_correction": 1.0,
    "eps": 1e-8,
    "weight_decay": 0.01,
}
OPTIMIZERS = {
    "sgd": ("sgd", {"weight_decay": 0.01}),
    "momentum": ("momentum", {"momentum": 0.9, "l2": 1e-4, "nesterov": 0.0}),
    "nesterov": ("momentum", {"momentum": 0.95, "l2": 0.0, "nesterov": 1.0}),
    "adamw": ("adam", ADAM),
    "adam, L2": ("adam", {**ADAM, "l2": 0.05, "weight_decay": 0.0, "beta2": 0.99}),
    "amsgrad": ("adam", {**ADAM, "amsgrad": 1.0, "eps": 1e-6}),
    "uncorrected": ("adam", {**ADAM, "bias_correction": 0.0, "beta1": 0.95}),
    "adagrad": ("adagrad", {"eps": 1e-10, "l2": 0.01, "initial_accumulator": 0.1}),
}


def trained(name: str, found: Mapping[str, float], *, n: int = 3) -> list[Update]:
    """Updates of one parameter by an optimizer of these arguments, each after the other."""
    random = np.random.default_rng(3)
    weight, made = random.normal(size=N), []
    slots: dict[str, Floats] = {}
    for k in range(n):
        gradient = 0.1 * random.normal(size=N)
        start = Start(weight, gradient, RATE, {**slots, "step": np.asarray(float(k))})
        end = FORMULAS[name](start, found)
        weight, slots = end.weight, dict(end.slots)
        made.append(Update(start, weight, slots))
    return made


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_arguments_are_read_off_the_updates_they_made(name: str, n: int) -> None:
    family, given = OPTIMIZERS[name]

    found = read(trained(family, given, n=n))

    assert found is not None
    if name == "momentum" and n == 1:  # the first momentum is the gradient, whatever its share
        assert found.arguments["l2"] == given["l2"]
    else:
        assert found.arguments == pytest.approx(given, rel=1e-6)
    assert found.arguments["eps"] == given["eps"] if "eps" in given else True


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_of_another_kind_have_no_arguments(name: str) -> None:
    family, given = OPTIMIZERS[name]
    right = trained(family, given)
    wrong = [
        Update(each.start, each.weight - 1e-4 * np.sign(each.start.gradient), each.slots)
        for each in right
    ]

    assert read(wrong) is None
    assert read([]) is None


def test_few_elements_fit_anything_and_take_what_is_known_of_others() -> None:
    few = [
        Update(
            Start(one.start.weight[:2], one.start.gradient[:2], RATE),
            one.weight[:2],
            {},
        )
        for one in trained("sgd", {"weight_decay": 0.01})
    ]
    known, other = (read(trained("sgd", {"weight_decay": d})) for d in (0.01, 0.02))

    assert known is not None
    assert other is not None
    assert read(few) is None
    assert read(few, [other]) is None
    assert read(few, [other, known]) is known


def test_another_argument_is_as_far_off_as_the_updates_are() -> None:
    theirs = trained("adam", {**ADAM, "eps": 1e-5})
    ours, own = read(trained("adam", ADAM)), read(theirs)

    assert ours is not None
    assert own is not None
    assert misfit(theirs, own) < 1e-9 < 1e-5 < misfit(theirs, ours)


def gradients() -> list[list[Floats]]:
    random = np.random.default_rng(5)
    return [[random.normal(size=n) * size for n in (30, 20, 4)] for size in (1.0, 0.3, 0.2, 0.01)]


CLIPS = [
    Clip("none"),
    Clip("norm", 0.5),
    Clip("norm", 0.5, 1e-3),
    Clip("each", 0.25),
    Clip("value", 0.05),
]


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: f"{clip.kind} {clip.eps}")
def test_a_clip_is_read_off_what_became_of_the_norms(clip: Clip) -> None:
    bare = [clipped_to(some, [1.0] * 3) for some in gradients()]
    seen = [
        clipped_to(some, list(clip.coefficients(one)))
        for some, one in zip(gradients(), bare, strict=True)
    ]

    assert read_clip(seen) == clip


def test_a_clip_of_another_kind_is_not_read() -> None:
    assert read_clip([clipped_to(some, [0.5, 0.4, 0.9]) for some in gradients()]) is None
    assert read_clip([clipped_to(some, [float("nan")] * 3) for some in gradients()]) is None
    assert read_clip([]) is None
    halved = clipped_to(gradients()[0], [0.5] * 3)  # in one iteration some limit does it
    assert read_clip([halved]) is None


def test_both_clips_are_told_with_what_differs() -> None:
    norm = Clip("norm", 0.5)

    assert norm.against(Clip("each", 0.5)) == (
        "the reference clips all gradients together to a norm of 0.5, the candidate clips each "
        "gradient by itself to a norm of 0.5"
    )
    assert norm.against(Clip("norm", 0.5, 1e-4)).endswith(
        "what is added to the norm 0 against 0.0001"
    )


def test_what_a_relu_lets_through_is_no_dropout() -> None:
    x = np.random.default_rng(7).normal(size=(6, 8))
    through = np.maximum(x, 0.0)
    kept = np.random.default_rng(8).random(x.shape) < 0.7

    assert list(DROPOUT.propose(module(through, 2 * through, inputs={"in.0": x}))) == []
    assert list(DROPOUT.propose(module(kept * x, x, inputs={"in.0": x}))) == []
    assert list(DROPOUT.propose(module(kept * x, kept[::-1] * x, inputs={"in.0": x}))) == []
    assert len(list(DROPOUT.propose(module(kept * x, 2 * kept * x, inputs={"in.0": x})))) == 1


def batches(*values: float) -> list[TensorRecord]:
    return [
        TensorRecord(TensorKey(Kind.INPUT, "x", iteration=k), k, np.full(3, value), "float64")
        for k, value in enumerate(values)
    ]


def test_batches_in_another_order_are_told_and_other_batches_are_not() -> None:
    ours = batches(1.0, 2.0, 3.0)

    moved = explain_batches(list(batch_links(ours, batches(2.0, 1.0, 3.0))), "x")
    other = explain_batches(list(batch_links(ours, batches(2.0, 1.0, 3.5))), "x")
    right = explain_batches(list(batch_links(ours, batches(1.0, 2.0, 3.0))), "")

    assert moved["x"].claim.endswith("its 0 is 1, 1 is 0 of the reference's")
    assert other == right == {}
