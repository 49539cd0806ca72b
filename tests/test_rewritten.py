"""Weights that were rewritten without changing what is computed, and rewritings that are wrong."""

from __future__ import annotations

import numpy as np
import pytest

from batch import Case, Result, run_all
from portalign.diagnose.transforms import of_bias, of_matrix, of_order
from portalign.findings import FindingKind
from portalign.records import Step
from portalign.results import Outcome, Verdict

FAULTS = ("none", "not_centred", "reordered", "norm_dropped", "one_row", "unexplained_weight")
MATRIX = np.random.default_rng(1).normal(size=(40, 6))
NORM = np.random.default_rng(2).normal(size=6)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    cases = {
        fault: Case(Step.FORWARD, (f"settings.fault={fault}",), "rewritten") for fault in FAULTS
    }
    return run_all(cases, tmp_path_factory.mktemp("rewritten"))


@pytest.mark.end_to_end
@pytest.mark.parametrize("fault", ["none", "not_centred"])
def test_rewritten_weights_that_compute_the_same_pass_and_are_named(
    results: dict[str, Result], fault: str
) -> None:
    report = results[fault].report

    assert report.outcome is Outcome.PASS
    assert report.divergence.origins == ()
    assert {f.kind for f in report.findings} == {FindingKind.EQUIVALENCE}
    claims = " ".join(f.claim for f in report.findings)
    assert "a norm's weight folded in" in claims
    assert "a bias folded in" in claims
    assert "a norm without its own parameters" in claims
    assert ("centred over the vocabulary" in claims) == (fault == "none")
    assert ("one constant per position" in claims) == (fault == "none")


@pytest.mark.end_to_end
def test_units_and_channels_in_another_order_are_an_equivalence(results: dict[str, Result]) -> None:
    report = results["reordered"].report

    assert report.outcome is Outcome.PASS
    assert {f.kind for f in report.findings} == {FindingKind.EQUIVALENCE}
    claims = " ".join(f.claim for f in report.findings)
    assert "rows in another order, columns in another order" in claims
    assert "its 12 columns stand in reverse order" in claims


@pytest.mark.end_to_end
@pytest.mark.parametrize("fault", ["norm_dropped", "one_row"])
def test_a_wrong_rewriting_fails(results: dict[str, Result], fault: str) -> None:
    report = results[fault].report

    assert report.outcome is Outcome.FAIL
    assert Verdict.EQUIVALENT not in {c.verdict for c in report.comparisons}


@pytest.mark.end_to_end
def test_equal_outputs_do_not_excuse_a_weight_that_no_transform_explains(
    results: dict[str, Result],
) -> None:
    report = results["unexplained_weight"].report

    assert report.outcome is Outcome.FAIL
    assert any(f.kind is FindingKind.EQUIVALENCE for f in report.findings)
    assert "embed.weight" in report.divergence.origins


@pytest.mark.parametrize(
    ("target", "kinds"),
    [
        (MATRIX * NORM, ("a norm's weight folded in",)),
        (MATRIX - MATRIX.mean(1, keepdims=True), ("centred over its 6 columns",)),
        (MATRIX - MATRIX.mean(0), ("centred over the vocabulary",)),
        (
            MATRIX * NORM - (MATRIX * NORM).mean(0),
            ("a norm's weight folded in", "centred over the vocabulary"),
        ),
    ],
    ids=["folded", "columns", "rows", "folded and centred"],
)
def test_a_transform_of_a_matrix_is_recognised_by_its_numbers(
    target: np.ndarray, kinds: tuple[str, ...]
) -> None:
    found = of_matrix(MATRIX, target.astype(np.float32), {"norm": NORM}, n_vocabulary=40)

    assert found is not None
    assert found.kinds == kinds


@pytest.mark.parametrize(
    "target",
    [MATRIX * 1.001, MATRIX[::-1], MATRIX * NORM[::-1], np.full_like(MATRIX, np.nan)],
    ids=["scaled", "reversed", "another norm", "nan"],
)
def test_no_transform_is_claimed_of_anything_else(target: np.ndarray) -> None:
    assert of_matrix(MATRIX, target, {"norm": NORM}, n_vocabulary=40) is None


def test_an_order_of_rows_and_columns_is_read_off_and_nothing_else_is_one() -> None:
    moved = MATRIX[np.roll(np.arange(40), 20)][:, ::-1]

    found = of_order(MATRIX, moved)

    assert found is not None
    assert found.kinds == ("rows in another order", "columns in another order")
    assert of_order(MATRIX, MATRIX) is None
    assert of_order(MATRIX, moved + 1e-3) is None
    assert of_order(MATRIX, np.where(MATRIX[0, 0] == MATRIX, np.nan, MATRIX)) is None


def test_an_equal_matrix_was_not_rewritten() -> None:
    assert of_matrix(MATRIX, MATRIX, {"norm": NORM}) is None


def test_a_bias_that_took_in_another_is_recognised_and_a_shifted_one_is_not() -> None:
    bias, added = NORM, MATRIX[0]

    found = of_bias(bias, (bias + added) - (bias + added).mean(), [("value", added)])

    assert found is not None
    assert found.kinds == ("a bias folded in", "centred")
    assert of_bias(bias, bias + 0.1, [("value", added)]) is None
