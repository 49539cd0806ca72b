"""Every rule that doubts a passing step: once it speaks, once it must be silent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portalign.compare import vacuity
from portalign.compare.pairs import compare
from portalign.records import Kind, Role, SideInfo, TensorKey
from portalign.results import Comparison, Reservation

RANDOM = np.random.default_rng(0)
VALUES = RANDOM.normal(size=(8, 4)).astype(np.float32)
DECLARED = ("torch", "paddle")
TORCH = SideInfo(
    role=Role.REFERENCE,
    framework="torch",
    framework_version="2.13",
    python="3.11",
    device="cpu",
    mode="eval",
    seed=0,
    threads=1,
    source="/port/torch_side.py:build",
    source_sha256="a" * 64,
    model_sha256="c" * 64,
)
REWRITE = replace(TORCH, source="/port/new.py:build", source_sha256="b" * 64, model_sha256="d" * 64)
PADDLE = replace(REWRITE, framework="paddle", framework_version="3.3")


def _gradient(reference: Any, candidate: Any, *, kind: Kind = Kind.GRADIENT) -> Comparison:
    key = TensorKey(kind, "fc", "weight")
    return compare(np.asarray(reference), np.asarray(candidate), key=key)


def _same(reference: SideInfo, candidate: SideInfo) -> Reservation | None:
    return vacuity.same_side(reference, candidate, (reference.framework, candidate.framework))


LR = {"what": "learning rate", "needed": "step it"}
# rule, id, what it returns, whether it speaks
TABLE: list[tuple[str, str, Reservation | None, bool]] = [
    ("same-side", "one framework ran for two", vacuity.same_side(TORCH, REWRITE, DECLARED), True),
    ("same-side", "two frameworks", vacuity.same_side(TORCH, PADDLE, DECLARED), False),
    ("same-side", "one function", _same(TORCH, replace(TORCH, role=Role.CANDIDATE)), True),
    ("same-side", "a copied file", _same(TORCH, replace(TORCH, source="/copy.py:build")), True),
    (
        "same-side",
        "one model by two functions",
        _same(TORCH, replace(REWRITE, model_sha256=TORCH.model_sha256)),
        True,
    ),
    ("same-side", "a rewrite", _same(TORCH, REWRITE), False),
    (
        "same-side",
        "two functions of one file",
        _same(TORCH, replace(REWRITE, source="/port/torch_side.py:b", source_sha256="a" * 64)),
        False,
    ),
    (
        "same-side",
        "two stacks of the framework's own modules",
        _same(replace(TORCH, model_sha256=""), replace(REWRITE, model_sha256="")),
        False,
    ),
    ("same-side", "two versions", _same(TORCH, replace(TORCH, framework_version="2.9")), False),
    ("same-side", "two devices", _same(TORCH, replace(TORCH, device="cuda:0")), False),
    ("constant-learning-rate", "constant", vacuity.constant_curve(np.full(9, 0.1), **LR), True),
    ("constant-learning-rate", "zero", vacuity.constant_curve(np.zeros(9), **LR), True),
    (
        "constant-learning-rate",
        "noise",
        vacuity.constant_curve(0.1 + 1e-9 * np.arange(9), **LR),
        True,
    ),
    ("constant-learning-rate", "moves", vacuity.constant_curve(np.arange(9.0), **LR), False),
    ("constant-learning-rate", "one step", vacuity.constant_curve(np.array([1, 0.1]), **LR), False),
    ("constant-learning-rate", "one point", vacuity.constant_curve(np.ones(1), **LR), False),
    ("constant-learning-rate", "empty", vacuity.constant_curve(np.empty(0), **LR), False),
    ("constant-learning-rate", "NaN", vacuity.constant_curve(np.full(9, np.nan), **LR), False),
    ("saturated-metric", "1", vacuity.saturated_metric("accuracy", 1.0, 2), True),
    ("saturated-metric", "0", vacuity.saturated_metric("f1", 0.0, 2), True),
    ("saturated-metric", "per cent", vacuity.saturated_metric("acc", 100.0, 2), True),
    ("saturated-metric", "in between", vacuity.saturated_metric("accuracy", 0.84, 2), False),
    ("saturated-metric", "NaN", vacuity.saturated_metric("auc", float("nan"), 2), False),
    ("one-class", "one class", vacuity.saturated_metric("accuracy", 0.5, 1), True),
    ("one-class", "no class scores", vacuity.saturated_metric("accuracy", 0.5, 0), False),
    ("unmoved-weights", "equal", vacuity.unmoved_weights({"w": VALUES}, {"w": VALUES}), True),
    (
        "unmoved-weights",
        "one of two moved",
        vacuity.unmoved_weights({"v": VALUES, "w": VALUES}, {"v": VALUES, "w": VALUES + 1}),
        False,
    ),
    ("unmoved-weights", "nothing recorded", vacuity.unmoved_weights({}, {}), False),
    ("zero-gradients", "all", vacuity.zero_gradients([_gradient([0.0, 0], [0.0, 0])]), True),
    (
        "zero-gradients",
        "one of two",
        vacuity.zero_gradients([_gradient([0.0], [0.0]), _gradient([1.0], [1.0])]),
        False,
    ),
    ("zero-gradients", "one side", vacuity.zero_gradients([_gradient([0.0], [1.0])]), False),
    ("zero-gradients", "NaN", vacuity.zero_gradients([_gradient([np.nan], [np.nan])]), False),
    (
        "zero-gradients",
        "other kinds",
        vacuity.zero_gradients([_gradient([0.0], [0.0], kind=Kind.BUFFER)]),
        False,
    ),
    ("too-few-keys", "no loss", vacuity.missing_kinds(frozenset({Kind.LR}), [Kind.LOSS]), True),
    ("too-few-keys", "all", vacuity.missing_kinds(frozenset(Kind), [Kind.LOSS]), False),
    ("loss-only", "no gradient", vacuity.loss_alone(frozenset({Kind.LOSS, Kind.LR})), True),
    ("loss-only", "gradients", vacuity.loss_alone(frozenset({Kind.LOSS, Kind.GRADIENT})), False),
    ("loss-only", "no loss either", vacuity.loss_alone(frozenset({Kind.METRIC})), False),
    ("loose-tolerance", "a thousand", vacuity.loose_tolerance("logits", VALUES, 1e3), True),
    ("loose-tolerance", "usual", vacuity.loose_tolerance("logits", VALUES, 1e-6), False),
    ("loose-tolerance", "all equal", vacuity.loose_tolerance("mask", np.ones(9), 1e3), False),
    ("loose-tolerance", "integers", vacuity.loose_tolerance("ids", np.arange(9), 1e3), False),
    ("loose-tolerance", "one number", vacuity.loose_tolerance("loss", np.ones(1), 1e3), False),
    ("loose-tolerance", "all NaN", vacuity.loose_tolerance("x", np.full(9, np.nan), 1e3), False),
    ("loose-tolerance", "any loss", vacuity.boundless_tolerance("loss", VALUES, 1e3), True),
    (
        "loose-tolerance",
        "a loss in reach",
        vacuity.boundless_tolerance("loss", VALUES, 1e-2),
        False,
    ),
    (
        "loose-tolerance",
        "a rate below the default",
        vacuity.boundless_tolerance("learning rate", np.full(9, 1e-7), 1e-6),
        False,
    ),
    ("loose-tolerance", "no loss", vacuity.boundless_tolerance("loss", np.empty(0), 1e3), False),
]


@pytest.mark.parametrize(
    ("rule", "found", "speaks"),
    [(rule, found, speaks) for rule, _, found, speaks in TABLE],
    ids=[f"{rule}: {case}" for rule, case, _, _ in TABLE],
)
def test_a_rule_speaks_where_it_must_and_only_there(
    rule: str, found: Reservation | None, speaks: bool
) -> None:
    assert (found is not None) is speaks
    if found is not None:
        assert found.rule == rule
        assert len(found.text) > 40  # a sentence, with what was seen and why it proves nothing


def test_every_rule_of_the_module_is_in_the_table_both_ways() -> None:
    speaking, silent = ({rule for rule, _, _, s in TABLE if s is way} for way in (True, False))
    public = {
        name
        for name, value in vars(vacuity).items()
        if name[0] != "_" and getattr(value, "__module__", "") == vacuity.__name__
    }

    assert speaking == silent
    assert public == {  # whoever adds a rule adds it to the table above, then here
        "same_side",
        "same_file",
        "constant_curve",
        "saturated_metric",
        "unmoved_weights",
        "zero_gradients",
        "missing_kinds",
        "loss_alone",
        "loose_tolerance",
        "boundless_tolerance",
    }


@pytest.mark.parametrize(
    ("name", "speaks"), [("a.npy", True), ("link.npy", True), ("b.npy", False), ("no.npy", False)]
)
def test_one_file_is_known_by_any_name(tmp_path: Path, name: str, speaks: bool) -> None:
    for file in ("a.npy", "b.npy"):
        (tmp_path / file).write_bytes(b"equal")
    (tmp_path / "link.npy").symlink_to("a.npy")

    assert (vacuity.same_file(tmp_path / "a.npy", tmp_path / name) is not None) is speaks
