"""Which of two values of a loss is compared where a kernel cut one off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from portalign.mapping.cuts import without_cuts
from portalign.mapping.pair import pair
from portalign.mapping.weights import WeightPlan
from portalign.records import Kind, Precision, Role, TensorKey, TensorRecord, Trace

LOSS = TensorKey(Kind.LOSS, "loss", iteration=1)
TWIN = replace(LOSS, precision=Precision.FLOAT64)


def _trace(role: Role, **values: tuple[float, float | None]) -> Trace:
    """Loss and uncut loss by precision."""
    keys = {"native": LOSS, "float64": TWIN}
    entries = [
        (replace(keys[name], kind=kind), value)
        for name, pair_of in values.items()
        for kind, value in zip((Kind.LOSS, Kind.UNCUT), pair_of, strict=True)
        if value is not None
    ]
    records = tuple(
        TensorRecord(key, order, np.asarray(value), "float64")
        for order, (key, value) in enumerate(entries)
    )
    return Trace(role.value, None, records, is_complete=True)


def _losses(trace: Trace) -> list[float]:
    assert {r.key.kind for r in trace.records} == {Kind.LOSS}
    return [float(r.array) for r in trace.records]


def test_a_cut_on_one_side_is_taken_back_in_both_precisions() -> None:
    reference = _trace(Role.REFERENCE, native=(80.1, None), float64=(80.0, None))
    candidate = _trace(Role.CANDIDATE, native=(64.0, 80.2), float64=(64.0, 80.0))

    ours, theirs = without_cuts(reference, candidate)
    back, forth = without_cuts(candidate, reference)

    assert (_losses(ours), _losses(theirs)) == ([80.1, 80.0], [80.2, 80.0])
    assert (_losses(back), _losses(forth)) == ([80.2, 80.0], [80.1, 80.0])


def test_both_sides_that_cut_are_compared_as_they_are() -> None:
    sides = [_trace(role, native=(64.0, 80.0 + at)) for at, role in enumerate(Role)]

    ours, theirs = without_cuts(sides[0], sides[1])

    assert (_losses(ours), _losses(theirs)) == ([64.0], [64.0])


def test_a_cut_that_the_other_side_has_too_stays() -> None:
    """A reference that does the same by itself."""
    reference = _trace(Role.REFERENCE, native=(64.0, None))
    candidate = _trace(Role.CANDIDATE, native=(64.0, 80.0))

    _, theirs = without_cuts(reference, candidate)

    assert _losses(theirs) == [64.0]


def test_the_twin_decides_for_the_native_loss() -> None:
    """After some drift the native value is nearer by chance."""
    reference = _trace(Role.REFERENCE, native=(70.0, None), float64=(80.0, None))
    candidate = _trace(Role.CANDIDATE, native=(64.0, 79.0), float64=(64.0, 80.0))

    _, theirs = without_cuts(reference, candidate)

    assert _losses(theirs) == [79.0, 80.0]


def test_traces_without_a_cut_are_left_alone() -> None:
    sides = [_trace(role, native=(0.5, None)) for role in Role]

    assert without_cuts(sides[0], sides[1]) == (sides[0], sides[1])


@pytest.mark.parametrize("candidate", [(64.0, 80.0), (64.0, None)])
def test_what_stands_beside_a_loss_is_no_record_without_a_partner(
    candidate: tuple[float, float | None],
) -> None:
    reference = _trace(Role.REFERENCE, native=(80.0, None))

    found = pair(reference, _trace(Role.CANDIDATE, native=candidate), WeightPlan(()))

    assert found.unpaired == ()
    assert [float(p.candidate.array) for p in found.pairs] == [candidate[1] or 64.0]
