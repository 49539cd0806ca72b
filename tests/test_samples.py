"""What is kept of a tensor's values: bounded, true to the arrays, and never without the worst."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from portalign.compare.pairs import compare
from portalign.mapping.layouts import AS_IS
from portalign.mapping.pair import Pair
from portalign.records import Kind, TensorKey, TensorRecord
from portalign.report.samples import (
    FILE_NAME,
    LEVELS,
    MAX_SAMPLES,
    N_VALUES,
    Sample,
    keep_samples,
    read_samples,
    sample,
)
from portalign.results import Divergence
from sample_reports import step_report

RNG = np.random.default_rng(7)


def sampled(reference: Any, candidate: Any, label: str = "fc out.0") -> Sample:
    key = TensorKey(Kind.ACTIVATION, "fc", "out.0")
    one = compare(np.asarray(reference), np.asarray(candidate), key=key, label=label)
    return sample(one, np.asarray(reference), np.asarray(candidate))


def pair(label: str, reference: Any, candidate: Any, order: int = 0) -> Pair:
    key = TensorKey(Kind.ACTIVATION, label, "out.0")
    sides = [TensorRecord(key, order, array, array.dtype.name) for array in (reference, candidate)]
    return Pair(sides[0], sides[1], AS_IS, "name", label)


def test_the_histogram_counts_every_finite_difference() -> None:
    reference = RNG.normal(size=(5, 7))
    candidate = reference + RNG.normal(size=(5, 7)) * 1e-3

    found = sampled(reference, candidate)

    assert sum(found.counts) == found.n_seen == 35
    assert found.edge == np.abs(candidate - reference).max()
    n_below = int((candidate - reference < 0).sum())
    middle = len(found.counts) // 2
    assert abs(sum(found.counts[:middle]) - n_below) <= found.counts[middle]


def test_first_values_are_those_of_the_arrays_in_the_reference_layout() -> None:
    reference = np.arange(12, dtype=np.float32).reshape(3, 4)
    transposed = np.ascontiguousarray(reference.T).T  # as a layout gives it: not contiguous

    found = sampled(reference, transposed + np.float32(0.5))

    assert found.reference == ("0", "1", "2", "3", "4", "5", "6", "7")
    assert found.candidate[:3] == ("0.5", "1.5", "2.5")


def test_the_heatmap_shows_the_slice_and_the_cell_of_the_worst_element() -> None:
    reference = RNG.normal(size=(3, 6, 10))
    candidate = reference + 1e-9
    candidate[2, 4, 9] += 1.0

    heat = sampled(reference, candidate).heat

    assert heat is not None
    assert (heat.where, heat.rows, heat.columns) == ("[2, :, :]", 6, 10)
    assert heat.extent == (6, 10)
    assert heat.cells[4 * 10 + 9] == LEVELS[-1]
    assert heat.cells.count(LEVELS[-1]) == 1
    assert heat.most == pytest.approx(0.0, abs=1e-6)  # log10 of 1.0


def test_the_worst_element_of_a_large_tensor_is_always_looked_at() -> None:
    reference = np.zeros((1009, 1013), np.float32)
    candidate = reference + np.float32(1e-6)
    candidate[700, 641] = 3.0

    found = sampled(reference, candidate)

    assert found.edge == 3.0
    assert found.n_seen < 200_000
    assert found.heat is not None
    assert len(found.heat.cells) <= 32 * 32
    assert LEVELS[-1] in found.heat.cells


def test_nan_and_zero_have_cells_of_their_own() -> None:
    reference = np.zeros((2, 3))
    candidate = np.array([[0.0, np.nan, 1e-3], [0.0, np.inf, 1e-5]])

    found = sampled(reference, candidate)

    assert found.heat is not None
    assert [found.heat.cells[at] for at in (0, 1, 3, 4)] == [".", "!", ".", "!"]
    assert sum(found.counts) == 4
    json.dumps(dataclasses.asdict(found), allow_nan=False)


ODD = {
    "empty": (np.zeros((0, 3)), np.zeros((0, 3)), 0),
    "unequal shapes": (np.zeros((2, 3)), np.zeros(6), 0),
    "all NaN": (np.full((2, 2), np.nan), np.zeros((2, 2)), 4),
    "a number": (np.array(1.0), np.array(1.5), 1),
    "bools": (np.array([[True, False]]), np.array([[True, True]]), 2),
    "integers": (np.array([1, 2**62]), np.array([1, 2**62 + 1]), 2),
    "complex": (np.array([[1 + 1j]]), np.array([[1 + 2j]]), 1),
    "bfloat16": (np.ones((2, 2), ml_dtypes.bfloat16), np.zeros((2, 2), ml_dtypes.bfloat16), 4),
    "infinities": (np.array([np.inf, 1.0]), np.array([np.inf, 2.0]), 2),
}


@pytest.mark.parametrize(("reference", "candidate", "n_seen"), ODD.values(), ids=ODD)
def test_odd_arrays_have_a_sample_too(reference: Any, candidate: Any, n_seen: int) -> None:
    found = sampled(reference, candidate)

    assert found.n_seen == n_seen
    assert len(found.reference) == min(N_VALUES, reference.size)
    assert math.isfinite(found.edge)


def test_what_is_kept_is_read_back_and_bounded_with_origins_first(tmp_path: Path) -> None:
    pairs, comparisons = [], []
    for at in range(3 * MAX_SAMPLES):
        reference = RNG.normal(size=(40, 40)).astype(np.float32)
        candidate = reference * np.float32(1 + (1e-7 if at == 5 else 1e-2))
        pairs.append(pair(f"m{at}", reference, candidate, at))
        key = pairs[-1].reference.key
        comparisons.append(compare(reference, candidate, key=key, label=f"m{at}", order=at))
    report = step_report(comparisons=tuple(comparisons), divergence=Divergence(("m5",), first="m5"))

    keep_samples(report, pairs, tmp_path)

    kept = read_samples(tmp_path)
    assert len(kept) == MAX_SAMPLES
    assert next(iter(kept)) == "m5"
    assert (tmp_path / FILE_NAME).stat().st_size < MAX_SAMPLES * 2500


def test_equal_pairs_are_not_kept(tmp_path: Path) -> None:
    same = np.ones((2, 2), np.float32)
    key = TensorKey(Kind.ACTIVATION, "fc", "out.0")
    report = step_report(comparisons=(compare(same, same, key=key, label="fc"),))

    keep_samples(report, [pair("fc", same, same)], tmp_path)

    assert read_samples(tmp_path) == {}


@pytest.mark.parametrize("content", ["", "[]", '{"samples": 3}', "\x00"])
def test_a_broken_file_of_samples_is_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content)

    assert read_samples(tmp_path) == {}
    assert read_samples(tmp_path / "absent") == {}
