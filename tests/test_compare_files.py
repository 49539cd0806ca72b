"""Two dumps from strangers: read, paired by name, judged by tolerance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from portalign.compare.files import compare_files
from portalign.compare.pairs import overall
from portalign.errors import InputError
from portalign.results import Basis, Outcome, Verdict

LOGITS = np.random.default_rng(0).standard_normal((8, 5)).astype(np.float32)


def _reprod(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    np.save(path, np.array(arrays, dtype=object), allow_pickle=True)  # what reprod_log writes
    return path


def _npz(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    np.savez(path.with_suffix(".npz"), **arrays)
    return path.with_suffix(".npz")


def test_equal_dumps_of_different_formats_pass(tmp_path: Path) -> None:
    reference = _reprod(tmp_path / "a.npy", {"logits": LOGITS, "loss": np.float32([0.5])})
    candidate = _npz(tmp_path / "b", {"loss": np.float32([0.5]), "logits": LOGITS})

    comparisons, unpaired = compare_files(reference, candidate)

    assert [(one.label, one.verdict) for one in comparisons] == [
        ("logits", Verdict.IDENTICAL),
        ("loss", Verdict.IDENTICAL),
    ]
    assert overall(comparisons, unpaired) is Outcome.PASS


def test_one_element_in_many_fails(tmp_path: Path) -> None:
    wrong = LOGITS.copy()
    wrong[3, 2] += 0.5

    comparisons, unpaired = compare_files(
        _npz(tmp_path / "a", {"logits": LOGITS}), _npz(tmp_path / "b", {"logits": wrong})
    )

    assert overall(comparisons, unpaired) is Outcome.FAIL
    assert comparisons[0].basis is Basis.TOLERANCE
    assert comparisons[0].native.worst_index == (3, 2)


def test_rounding_passes_by_default_and_fails_a_stricter_tolerance(tmp_path: Path) -> None:
    paths = [
        _npz(tmp_path / "a", {"logits": LOGITS}),
        _npz(tmp_path / "b", {"logits": LOGITS * np.float32(1 + 5e-7)}),
    ]

    assert overall(*compare_files(*paths)) is Outcome.PASS
    assert overall(*compare_files(*paths, relative=1e-8)) is Outcome.FAIL


def test_names_on_one_side_only_keep_the_whole_from_passing(tmp_path: Path) -> None:
    comparisons, unpaired = compare_files(
        _npz(tmp_path / "a", {"logits": LOGITS, "hidden": LOGITS}),
        _npz(tmp_path / "b", {"logits": LOGITS, "pooled": LOGITS}),
    )

    assert [(one.role, one.key.name, one.reason) for one in unpaired] == [
        ("reference", "hidden", "the candidate has no array of this name"),
        ("candidate", "pooled", "the reference has no array of this name"),
    ]
    assert overall(comparisons, unpaired) is Outcome.INCONCLUSIVE


def test_no_name_in_common_is_inconclusive(tmp_path: Path) -> None:
    comparisons, unpaired = compare_files(
        _npz(tmp_path / "a", {"x": LOGITS}), _npz(tmp_path / "b", {"y": LOGITS})
    )

    assert comparisons == ()
    assert overall(comparisons, unpaired) is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("shape", "outcome"),
    [((1,), Outcome.PASS), ((), Outcome.PASS), ((1, 1), Outcome.FAIL)],
    ids=str,
)
def test_a_scalar_loss_may_have_one_axis_and_no_more(
    tmp_path: Path, shape: tuple[int, ...], outcome: Outcome
) -> None:
    loss = np.array(0.7, np.float32)

    found = compare_files(
        _npz(tmp_path / "a", {"loss": loss}), _npz(tmp_path / "b", {"loss": loss.reshape(shape)})
    )

    assert overall(*found) is outcome


@pytest.mark.parametrize("shapes", [((90,), (90, 1)), ((4, 5), (5,)), ((4, 5), (5, 4))], ids=str)
def test_shapes_are_neither_broadcast_nor_transposed(
    tmp_path: Path, shapes: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    found = compare_files(
        _npz(tmp_path / "a", {"x": np.ones(shapes[0])}),
        _npz(tmp_path / "b", {"x": np.ones(shapes[1])}),
    )

    assert overall(*found) is Outcome.FAIL


def test_a_file_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        compare_files(tmp_path / "none.npz", tmp_path / "none.npz")
