"""Running statistics explained from one side's own tensors, and converted between conventions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from portalign.compare.batch_norm import Convention, relative_sizes
from portalign.compare.statistics import Numbers, Statistics, first_iteration, statistics
from portalign.records import Array, Kind, TensorKey, TensorRecord, Trace

CHANNELS = 4
VARIANCE = TensorKey(Kind.BUFFER, "norm", "running_var", iteration=1)


def _moments(batch: Numbers) -> tuple[Numbers, Numbers]:
    return batch.mean((0, 2)), batch.var((0, 2))


def _kept(batches: Sequence[Numbers], *, share: float, is_unbiased: bool) -> list[Numbers]:
    """Mean and variance after all batches, from 0 and 1."""
    mean, variance = np.zeros(CHANNELS), np.ones(CHANNELS)
    for batch in batches:
        n = batch.size // CHANNELS
        new_mean, new_variance = _moments(batch)
        new_variance = new_variance * (n / (n - 1) if is_unbiased else 1.0)
        mean, variance = (
            mean + share * (new_mean - mean),
            variance + share * (new_variance - variance),
        )
    return [mean, variance]


def _batches(*n_rows: int) -> list[Numbers]:
    random = np.random.default_rng(0)
    return [random.normal(0.5, 2.0, (n, CHANNELS, 3)) for n in n_rows]


def _records(batches: Sequence[Numbers], after: Sequence[Numbers]) -> dict[TensorKey, TensorRecord]:
    found = {
        TensorKey(Kind.BUFFER, "norm", "running_mean"): np.zeros(CHANNELS),
        TensorKey(Kind.BUFFER, "norm", "running_var"): np.ones(CHANNELS),
        TensorKey(Kind.BUFFER, "norm", "running_mean", iteration=1): after[0],
        VARIANCE: after[1],
    }
    for call, batch in enumerate(batches):
        found[TensorKey(Kind.ACTIVATION, "norm", "in.0", call)] = batch
    return {
        key: TensorRecord(key, at, a, a.dtype.name) for at, (key, a) in enumerate(found.items())
    }


@pytest.mark.parametrize("is_unbiased", [True, False])
@pytest.mark.parametrize("share", [0.1, 0.9, 0.01])
@pytest.mark.parametrize("n_rows", [(5,), (5, 5), (5, 5, 5)], ids=["once", "twice", "thrice"])
def test_share_and_factor_are_read_off_inputs_and_buffers(
    n_rows: tuple[int, ...], share: float, is_unbiased: bool
) -> None:
    batches = _batches(*n_rows)
    records = _records(batches, _kept(batches, share=share, is_unbiased=is_unbiased))

    first = first_iteration(records, VARIANCE)
    assert first is not None
    read = statistics(first)

    assert read.share == pytest.approx(share, abs=1e-12)
    assert read.factor == pytest.approx(15 / 14 if is_unbiased else 1.0, abs=1e-12)
    assert (read.n, read.n_calls) == (15, len(n_rows))
    assert read.misfit < 1e-12


def test_frozen_statistics_have_no_share_and_what_was_not_recorded_none() -> None:
    batches = _batches(5)
    frozen = first_iteration(_records(batches, [np.zeros(CHANNELS), np.ones(CHANNELS)]), VARIANCE)

    assert frozen is not None
    assert statistics(frozen).share == 0.0
    assert (
        first_iteration(_records([], _kept(batches, share=0.1, is_unbiased=True)), VARIANCE) is None
    )


def test_statistics_that_do_not_follow_the_input_leave_a_misfit() -> None:
    other = _kept(_batches(5, 6)[1:], share=0.1, is_unbiased=True)
    first = first_iteration(_records(_batches(5), other), VARIANCE)

    assert first is not None
    assert statistics(first).misfit > 0.1


def _convention(sizes: tuple[float, ...] = (1.0,), *, is_unbiased: bool = True) -> Convention:
    return Convention(Statistics(0.1, 15 / 14, 15, 1, 0.0), is_unbiased, sizes)


def _variances(*n_rows: int, is_unbiased: bool) -> tuple[Array, Array]:
    after = _kept(_batches(*n_rows), share=0.1, is_unbiased=is_unbiased)[1]
    return np.ones(CHANNELS), after


@pytest.mark.parametrize("is_unbiased", [True, False])
@pytest.mark.parametrize(
    ("n_rows", "sizes", "n"),
    [((5,), (1.0,), 15), ((5, 5), (1.0,), 15), ((2,), (0.4,), 6), ((7,), (), 21)],
    ids=["usual", "two iterations", "smaller batch", "read off"],
)
def test_a_variance_converts_to_the_other_convention_and_back(
    n_rows: tuple[int, ...], sizes: tuple[float, ...], n: int, is_unbiased: bool
) -> None:
    reference, candidate = (
        _variances(*n_rows, is_unbiased=own) for own in (is_unbiased, not is_unbiased)
    )

    known = _convention(sizes, is_unbiased=is_unbiased)
    found, used = known.converted(candidate, reference, iterations=range(len(n_rows)))

    assert used == n
    assert found == pytest.approx(reference[1], rel=1e-12)


@pytest.mark.parametrize("fault", [1.001, 0.999, 16 / 15])
def test_another_ratio_than_the_conventions_does_not_convert(fault: float) -> None:
    reference = _variances(5, is_unbiased=True)
    before, after = _variances(5, is_unbiased=False)

    found, _ = _convention().converted(
        (before, before * 0.9 + (after - before * 0.9) * fault), reference, iterations=range(1)
    )

    assert np.abs(found / reference[1] - 1.0).max() > 1e-5


def test_batches_tell_their_relative_size_unless_their_fields_disagree() -> None:
    shapes = [{"x": (6, 8), "y": (6,)}, {"x": (3, 8), "y": (3,)}, {"x": (6, 5), "y": (6,)}]
    arrays = [(k, name, np.zeros(s)) for k, batch in enumerate(shapes) for name, s in batch.items()]
    records = tuple(
        TensorRecord(TensorKey(Kind.INPUT, name, iteration=k), at, array, "float64")
        for at, (k, name, array) in enumerate(arrays)
    )

    assert repr(relative_sizes(Trace("", None, records, True))) == "(1.0, 0.5, nan)"
