"""What the shared inputs can't decide is said, with the input that would, where it is so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from causes.places import module, random
from causes.weight_transposed import BIAS, STATE, WEIGHT, linear
from portalign.diagnose.engine import Doctor
from portalign.diagnose.evidence import Evidence
from portalign.diagnose.undecided import undecided
from portalign.mapping.pair import Pairing
from portalign.records import (
    Kind,
    ModuleInfo,
    ParameterInfo,
    Precision,
    Structure,
    TensorKey,
    TensorRecord,
    Trace,
)
from portalign.results import Divergence
from sample_reports import failing_report

IDS = np.arange(24).reshape(2, 12)
PADDED = np.where(np.arange(12) < np.array([[7], [12]]), 1, 0)


def _evidence(
    mask: np.ndarray, *, dtype: str = "float32", has_twins: bool = True, windows: str = ""
) -> Evidence:
    state = (ParameterInfo("norm.weight", "norm", "weight", "LayerNorm", (4,), dtype),)
    structure = Structure("torch", (ModuleInfo("", "Net"), ModuleInfo("attention", "Block")), state)
    given = {"in.attention_mask": mask, "in.input_ids": IDS}
    precisions = list(Precision) if has_twins else [Precision.NATIVE]
    records = tuple(
        TensorRecord(TensorKey(Kind.ACTIVATION, "", slot, 0, 0, precision), at, array, "int64")
        for precision in precisions
        for at, (slot, array) in enumerate(given.items())
    )
    flags = {"windows": windows} if windows else {}
    info = replace(failing_report().sides[0], structure=structure, flags=flags)
    trace = Trace("", info, records, is_complete=True)
    return Evidence(trace, trace, Path(), Pairing((), ()), (), Divergence())


def test_a_mask_that_hides_nothing_is_said_to_decide_nothing() -> None:
    assert "attention_mask hides no place" in undecided(_evidence(np.ones_like(PADDED)))[0]
    assert undecided(_evidence(PADDED)) == ()
    assert undecided(_evidence(np.ones_like(PADDED)), is_padded=True) == ()


@pytest.mark.parametrize(
    ("windows", "n_probed", "is_told"),
    [
        ("config.window=12", 0, True),
        ("config.window=8, other.window=40", 24, True),
        ("config.window=11", 0, False),
        ("config.window=12", 24, False),
        ("", 0, False),
    ],
    ids=["as long", "longer than a probe", "shorter", "probed", "none"],
)
def test_a_window_that_no_sequence_reaches_is_told(
    windows: str, n_probed: int, is_told: bool
) -> None:
    found = undecided(_evidence(PADDED, windows=windows), n_probed=n_probed)

    assert ["a longer one would show it" in each for each in found] == [True] * is_told


@pytest.mark.parametrize(
    ("dtype", "has_twins", "is_told"),
    [("bfloat16", False, True), ("bfloat16", True, False), ("float32", False, False)],
)
def test_an_eps_below_the_rounding_is_undecided_without_twins(
    dtype: str, has_twins: bool, is_told: bool
) -> None:
    found = undecided(_evidence(PADDED, dtype=dtype, has_twins=has_twins))

    assert ["rows of amplitude 3e-3" in each for each in found] == [True] * is_told


def test_too_few_rows_for_a_matrix_are_asked_for() -> None:
    x, other = random(7, 6), random(6, 6, seed=9)
    site = module(linear(x, WEIGHT, BIAS), linear(x, other), inputs={"in.0": x}, state=STATE)

    found = Doctor().causes(site)

    assert [each.rule for each in found] == [""]
    assert "at least 10 rows" in found[0].remedy
