"""A correct training drifts: where each link agrees on the same state, rounding may grow."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from portalign.compare.drift import comes_of_faithful, twin_drift
from portalign.compare.growth import growth
from portalign.compare.pairs import compare
from portalign.compare.tolerance import RELATIVE
from portalign.conclude import conclude
from portalign.config import load_port
from portalign.findings import Part
from portalign.records import Kind, Step, TensorKey
from portalign.report.trained import trained
from portalign.results import Comparison, Outcome, StepReport, Verdict
from tiny_ports import MODEL, capture_all, complaint, step_folder, write_port

LOSS, WEIGHT = (TensorKey(kind, "x", iteration=3) for kind in (Kind.LOSS, Kind.PARAMETER))
ONE = np.array([3.0, 4.0])


def _compared(*, twins: float, own: float, may_drift: bool) -> Comparison:
    """A pair of norm 5, natively and as twins so far apart; each side `own` from its twin."""
    native = (ONE.astype(np.float32), (ONE * (1 + twins)).astype(np.float32))
    lifted = (ONE * (1 + own), ONE * (1 + own) * (1 + twins))
    return compare(*native, key=WEIGHT, twins=lifted, may_drift=may_drift, asymmetry=math.inf)


def test_twins_may_part_as_far_as_rounding_lets_them() -> None:
    # own distance 1e-3 is 1.7e4 units of float32, and as many times 1e-9 are 1.7e-5
    assert _compared(twins=1e-5, own=1e-3, may_drift=True).verdict is Verdict.ROUNDING
    assert _compared(twins=4e-5, own=1e-3, may_drift=True).verdict is Verdict.DIVERGENT
    assert _compared(twins=1e-5, own=1e-3, may_drift=False).verdict is Verdict.DIVERGENT


def test_a_training_that_rounding_has_changed_altogether_decides_nothing() -> None:
    chaotic = _compared(twins=0.5, own=0.2, may_drift=True)

    assert (chaotic.verdict, chaotic.outcome) == (Verdict.UNDECIDED, Outcome.INCONCLUSIVE)
    assert "this training is chaotic" in chaotic.reason
    assert _compared(twins=0.5, own=0.2, may_drift=False).outcome is Outcome.FAIL
    assert _compared(twins=0.5, own=0.05, may_drift=True).outcome is Outcome.FAIL


def test_float64_sides_have_no_rounding_to_excuse_them() -> None:
    native = compare(ONE, ONE * (1 + 1e-6), key=WEIGHT, twins=(ONE, ONE * (1 + 1e-6))).native

    assert twin_drift(native, [0.0, 0.0]) == 0.0
    assert twin_drift(native, [None, None]) == 0.0


def test_weights_come_of_one_iteration_less_than_the_loss_beside_them() -> None:
    assert comes_of_faithful(WEIGHT, 3)
    assert not comes_of_faithful(WEIGHT, 2)
    assert comes_of_faithful(LOSS, 4)
    assert not comes_of_faithful(LOSS, 3)
    assert not comes_of_faithful(TensorKey(Kind.LR, "lr", iteration=1), 9)
    assert not comes_of_faithful(TensorKey(Kind.GRADIENT, "x"), 9)


def _weights(iteration: int, apart: float, *, in_float64: float = 1e-15) -> Comparison:
    key = TensorKey(Kind.PARAMETER, "x", iteration=iteration)
    other = (ONE * (1 + apart)).astype(np.float32)
    return compare(ONE.astype(np.float32), other, key=key, twins=(ONE, ONE * (1 + in_float64)))


def test_growth_is_the_factor_of_an_exponential() -> None:
    found = growth([_weights(k, 1e-6 * 3.0**k) for k in range(1, 6)])

    assert found is not None
    assert found.native_factor == pytest.approx(3.0, rel=0.05)  # float32 rounds the small ones
    assert found.iterations == (1, 2, 3, 4, 5)
    (line,) = trained((), found)
    assert line.startswith(
        "free run, weights apart after 5 iterations: 2.4e-04 (3x each iteration)"
    )


def test_a_fault_that_float64_has_too_is_no_rounding_however_much_rounding_does() -> None:
    right, wrong = (
        growth([_weights(k, 1e-2, in_float64=apart) for k in range(1, 5)])
        for apart in (1e-12, 2e-3)  # less than a side is off from its own twin, too
    )

    assert right is not None
    assert wrong is not None
    assert right.is_rounding
    assert not wrong.is_rounding


def test_two_points_or_none_have_no_growth() -> None:
    assert growth([]) is None
    assert growth([_weights(1, 1e-6), _weights(2, 2e-6)]) is None
    still = growth([_weights(k, 0.0) for k in range(1, 5)])
    assert still is not None
    assert math.isnan(still.native_factor)
    assert trained((), still) == ()


# Sensitive: with a learning rate of 0.3 a difference doubles each iteration, with 1.0 it grows
# sixfold. The candidate adds up in another order.
ROUGH = MODEL.replace("torch.tanh(self.first(x))", "torch.sin(9.0 * self.first(x))")
TAIL = "self.last(torch.sin(9.0 * self.first(x)))"
FLIPPED = ROUGH.replace(
    TAIL, "torch.sin(9.0 * self.first(x)).flip(1) @ self.last.weight.flip(1).T + self.last.bias"
)
SGD = {"optimizer": "{name: sgd, lr: 0.3}"}
# Wrong, or in low precision, on one batch only, the sixth of eight.
DATA = """
import numpy as np

def batches(settings):
    random = np.random.default_rng(0)
    for k in range(8):
        x = random.normal(size=(4, 3)).astype(np.float32)
        x[0, 0] = 9.0 if k == 5 else 0.5
        yield {"x": x, "labels": random.integers(0, 2, size=4)}
"""
LATE = MODEL.replace("torch.tanh(", "(torch.sin if x[0, 0] > 8.0 else torch.tanh)(")
IMPRECISE = MODEL.replace(
    "self.last(torch.tanh(self.first(x)))",
    "self.last(self.round(torch.tanh(self.first(x)), x))",
) + (
    "\n    def round(self, h, x):\n"
    "        return h.to(torch.bfloat16).to(torch.float32) if x[0, 0] > 8.0 else h\n"
)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StepReport]:
    folder = tmp_path_factory.mktemp("drift")
    rough = {"reference": ROUGH, "candidate": FLIPPED}
    cases = {
        "rough": ({**rough}, {"optimizer": "{name: sgd, lr: 0.3}", "iterations": "25"}),
        "chaotic": ({**rough}, {"optimizer": "{name: sgd, lr: 1.0}", "iterations": "25"}),
        "mild, no twins": (rough, {**SGD, "iterations": "10", "twin": "off"}),
        "some kept, no twins": (
            rough,
            {**SGD, "iterations": "10", "record": "[0, 9]", "twin": "off"},
        ),
        "first kept, no twins": (
            rough,
            {**SGD, "iterations": "10", "record": "[0]", "twin": "off"},
        ),
        "rough, no twins": (rough, {**SGD, "iterations": "25", "twin": "off"}),
        "late, no twins": ({"candidate": LATE, "data": DATA}, {"iterations": "8", "twin": "off"}),
        "late": ({"candidate": LATE, "data": DATA}, {"iterations": "8"}),
        "late and in float16": (
            {"candidate": IMPRECISE.replace("bfloat16", "float16"), "data": DATA},
            {"iterations": "8"},
        ),
        "late and imprecise": ({"candidate": IMPRECISE, "data": DATA}, {"iterations": "8"}),
    }
    files = {
        name: write_port(folder / name.replace(" ", "_"), **texts, entries=entries)
        for name, (texts, entries) in cases.items()
    }
    capture_all(list(files.values()), Step.BACKWARD)
    return {name: _report(file) for name, file in files.items()}


def _report(file: Path) -> StepReport:
    assert complaint(file, Step.BACKWARD) is None
    return conclude(load_port(file), Step.BACKWARD, step_folder(file, Step.BACKWARD)).report


@pytest.mark.end_to_end
def test_twins_of_a_sensitive_training_part_and_it_is_rounding(
    reports: dict[str, StepReport],
) -> None:
    report = reports["rough"]
    ends = [c for c in report.comparisons if c.key.kind is Kind.PARAMETER and c.key.iteration == 25]

    # measured: 1.3e-7 between twins, 8.8e-1 between the sides as they run
    assert max(c.twin.rel_frobenius for c in ends if c.twin) > 1e-8
    assert report.outcome is Outcome.PASS, report.headline
    assert report.growth is not None
    assert report.growth.is_rounding
    assert 1.5 < report.growth.float64_factor < 4.0


@pytest.mark.end_to_end
@pytest.mark.parametrize("name", ["mild, no twins", "some kept, no twins"])
def test_drift_without_twins_is_close_where_iterations_from_equal_state_are(
    reports: dict[str, StepReport], name: str
) -> None:
    report = reports[name]
    drifted = [c for c in report.comparisons if "so it is drift" in c.reason]

    assert report.outcome is Outcome.PASS, report.headline
    assert {c.verdict for c in drifted} == {Verdict.CLOSE}
    assert max(c.native.rel_frobenius for c in drifted) > 10 * RELATIVE["float32"]
    assert min(c.key.iteration for c in drifted) > 0


@pytest.mark.end_to_end
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("first kept, no twins", "it was not gone through from equal state"),
        ("rough, no twins", "shows a chaotic training"),
    ],
)
def test_what_nothing_tells_from_drift_is_undecided_and_no_failure(
    reports: dict[str, StepReport], name: str, why: str
) -> None:
    report = reports[name]
    undecided = [c for c in report.comparisons if c.outcome is not Outcome.PASS]

    assert report.outcome is Outcome.INCONCLUSIVE, report.headline
    assert {c.verdict for c in undecided} == {Verdict.UNDECIDED}
    assert all(why in c.reason for c in undecided)


@pytest.mark.end_to_end
def test_a_late_fault_fails_without_twins_too(reports: dict[str, StepReport]) -> None:
    report = reports["late, no twins"]

    assert report.outcome is Outcome.FAIL
    assert [(blame.part, blame.iteration) for blame in report.blames] == [(Part.GRADIENT, 5)]
    assert not any(c.verdict is Verdict.UNDECIDED for c in report.comparisons)


@pytest.mark.end_to_end
def test_a_chaotic_training_can_not_be_decided(reports: dict[str, StepReport]) -> None:
    report = reports["chaotic"]

    assert report.outcome is Outcome.INCONCLUSIVE, report.headline
    assert report.blames == ()
    assert "this training is chaotic" in report.headline


@pytest.mark.end_to_end
def test_a_late_fault_is_blamed_in_its_iteration(reports: dict[str, StepReport]) -> None:
    report = reports["late"]

    assert report.outcome is Outcome.FAIL
    assert [(blame.part, blame.iteration) for blame in report.blames] == [(Part.GRADIENT, 5)]


@pytest.mark.end_to_end
@pytest.mark.parametrize("name", ["late and imprecise", "late and in float16"])
def test_a_late_loss_of_precision_is_found(reports: dict[str, StepReport], name: str) -> None:
    report = reports[name]
    failed = [c for c in report.comparisons if c.outcome is Outcome.FAIL]

    assert report.blames == ()  # float64 doesn't see it
    assert {c.verdict for c in failed} == {Verdict.PRECISION}
    assert min(c.key.iteration for c in failed) == 5
