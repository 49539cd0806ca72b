"""The table of equivalents: every row runs in both frameworks and does what it claims."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("paddle", reason="paddle is not installed")
pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from equivalents import metric
from equivalents.lr_scheduler import BASE, N_ITERATIONS, curves
from equivalents.measured import Measured
from equivalents.table import AREAS, DOCUMENT, document, documented, measure, rows
from portalign.config.entries import Entry
from portalign.equivalents import metrics, schedulers
from portalign.equivalents.arguments import TABLES, resolve
from portalign.equivalents.rows import Area, Row
from portalign.equivalents.schedules import curve, has_formula
from portalign.equivalents.scores import score
from portalign.frameworks.pytorch import metrics as torch_metrics
from portalign.records import Role

pytestmark = pytest.mark.framework
ROWS = [pytest.param(row, id=f"{row.area.value}: {row.title}") for row in rows()]

FORMULAS = [
    pytest.param(row, id=row.title)
    for row in schedulers.ROWS
    if has_formula(str(row.entry["name"]))
]

SCORES = [
    pytest.param(row, id=row.title) for row in metrics.ROWS if not row.entry.get("as_is", False)
]


def holds(row: Row, found: Measured) -> bool:
    """Whether a row does what it claims."""
    if math.isnan(row.differs_by):
        return found.difference <= row.agrees_to
    return row.differs_by / 3 <= found.difference <= row.differs_by * 3


@pytest.mark.parametrize("row", ROWS)
def test_a_row_does_what_it_claims_over_forty_iterations(row: Row) -> None:
    found = measure(row)

    assert found.n_iterations >= 40
    assert holds(row, found), f"measured {found.difference:.3g}, claimed {row}"


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row.title) for row in schedulers.ROWS if has_formula(row.entry["name"])],
)
def test_the_formula_of_a_schedule_is_what_both_frameworks_compute(row: Row) -> None:
    spec = Entry.model_validate(row.entry).spec(Role.REFERENCE, "torch")
    arguments = resolve(Area.LR_SCHEDULER, spec)
    formulas = [
        curve(spec.name, {**arguments, **more}, base_lr=BASE, n_points=N_ITERATIONS)
        for more in ({}, {"is_blind": True})  # a plateau in torch, and in paddle
    ]

    for formula, found in zip(formulas, curves(row), strict=True):
        np.testing.assert_allclose(found, formula, rtol=1e-11, atol=1e-14 * BASE)


@pytest.mark.parametrize("row", SCORES)
def test_the_numpy_metric_is_what_the_reference_computes(row: Row) -> None:
    spec = Entry.model_validate(row.entry).spec(Role.REFERENCE, "torch")
    arguments = resolve(Area.METRIC, spec)
    batches = metric.scored(row, arguments)[-3:]

    expected = torch_metrics.metric(spec)(batches)

    # Sums of a few hundred exact counts or losses in double.
    np.testing.assert_allclose(score(spec.name, arguments, batches), expected, rtol=1e-13)


def test_a_row_that_claims_too_much_or_differs_otherwise_does_not_hold() -> None:
    row = replace(rows()[0], agrees_to=1e-15)

    assert holds(row, Measured(1e-15, 40))
    assert not holds(row, Measured(2e-15, 40))
    assert not holds(row, Measured(math.nan, 40))
    differing = replace(row, agrees_to=math.nan, differs_by=1e-3)
    assert holds(differing, Measured(2e-3, 40))
    assert not holds(differing, Measured(0.0, 40))
    assert not holds(differing, Measured(1e-2, 40))


@pytest.mark.parametrize("row", ROWS)
def test_a_row_either_agrees_or_differs_and_says_why(row: Row) -> None:
    assert math.isnan(row.agrees_to) != math.isnan(row.differs_by)
    assert bool(row.why) != math.isnan(row.differs_by)


@pytest.mark.parametrize("area", AREAS)
def test_titles_are_unique_and_every_name_of_the_argument_table_has_a_row(area: Area) -> None:
    some = AREAS[area][0]

    assert len({row.title for row in some}) == len(some)
    assert {row.area for row in some} == {area}
    assert {row.entry["name"] for row in some} == set(TABLES[area])


def test_the_document_is_what_the_rows_say_up_to_the_measured_digits() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")

    numbers = documented(text)

    assert text == document(numbers), "run `make equivalents`"
    for row, number in zip(rows(), numbers, strict=True):
        assert holds(row, Measured(number, 40)), f"documented {number:.0e}: {row}"
