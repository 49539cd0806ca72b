"""Wrong schedules: the learning rate step fails and names the first iteration that differs."""

from __future__ import annotations

import pytest

from batch import Case, Result, run_all
from portalign.records import Step
from portalign.results import Outcome

pytestmark = [pytest.mark.end_to_end, pytest.mark.faults]

COSINE = "name: cosine_warmup, warmup: 10, total: 100, probe: [10, 100]"
LINEAR = "name: linear_warmup, warmup: 100, total: 4000"
POLYNOMIAL = "name: polynomial, total: 50, power: 1.0"


def _schedule(text: str) -> Case:
    return Case(Step.LR_SCHEDULER, (f"lr_scheduler={{{text}}}",))


def _functions(torch: str, paddle: str) -> Case:
    return _schedule(
        f"torch: 'torch_side.py:{torch}', paddle: 'paddle_side.py:{paddle}', total: 200"
    )


RIGHT = {
    "linear": Case(Step.LR_SCHEDULER),
    "cosine": _schedule(COSINE),
    "functions": _functions("warmup", "warmup"),
    "meant to be constant": _schedule("name: constant, total: 20"),
}
# name: what is run, the first point that differs and both learning rates there
WRONG: dict[str, tuple[Case, str]] = {
    "a whole cosine": (
        _schedule(f"{COSINE}, candidate: {{num_cycles: 1.0}}"),
        "point 11, 0.000999695414 against 0.000998782025",
    ),
    "warmup one longer": (
        _schedule(f"{LINEAR}, candidate: {{warmup: 101}}"),
        "point 1, 1e-05 against 9.9009901e-06",
    ),
    "warmup one ahead": (_functions("warmup", "late_warmup"), "point 0, 0 against 1e-05"),
    "another end": (
        _schedule(f"{POLYNOMIAL}, candidate: {{end_lr: 1.0e-4}}"),
        "point 1, 0.00098 against 0.000982",
    ),
    "never stepped": (_functions("warmup", "never_stepped"), "point 0, 0 against 1e-05"),
    "never stepped in the reference": (
        _functions("never_stepped", "warmup"),
        "point 0, 1e-05 against 0",
    ),
}
# what must be said of each
CLAIMS = {
    "a whole cosine": "num_cycles 0.5 against 1 (cosine_warmup)",
    "warmup one longer": "warmup 100 against 101 (linear_warmup)",
    "warmup one ahead": "1 step ahead of the reference's",
    "another end": "end_lr 0 against 0.0001 (polynomial)",
    "never stepped": "the candidate's learning rate stays at 1e-05",
    "never stepped in the reference": "the reference's learning rate stays at 1e-05",
}
VAIN = {"stepped on neither side": _functions("never_stepped", "never_stepped")}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    cases = {**RIGHT, **{name: case for name, (case, _) in WRONG.items()}, **VAIN}
    return run_all(cases, tmp_path_factory.mktemp("lr"))


@pytest.mark.parametrize("name", RIGHT)
def test_the_right_schedule_passes(results: dict[str, Result], name: str) -> None:
    result = results[name]

    assert result.report.outcome is Outcome.PASS, result.text
    assert result.exit_code == 0
    assert result.begins_at == ()


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_schedule_fails_and_the_first_iteration_is_named(
    results: dict[str, Result], name: str
) -> None:
    result, first = results[name], WRONG[name][1]

    assert result.report.outcome is Outcome.FAIL, result.text
    assert result.exit_code == 1
    assert result.begins_at == (result.report.divergence.first,)
    assert f"first at {first}" in result.text
    assert "diverged" in result.text


@pytest.mark.parametrize("name", WRONG)
def test_the_report_says_why(results: dict[str, Result], name: str) -> None:
    result = results[name]

    (finding,) = result.report.findings
    assert finding.is_confirmed
    assert CLAIMS[name] in finding.claim
    assert f"cause ({finding.rule}): {finding.claim}" in result.text


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_schedule_has_no_findings(results: dict[str, Result], name: str) -> None:
    assert results[name].report.findings == ()


def test_a_schedule_stepped_on_neither_side_proves_nothing(results: dict[str, Result]) -> None:
    result = results["stepped on neither side"]

    assert result.report.outcome is Outcome.INCONCLUSIVE
    assert result.exit_code == 2
    assert [r.rule for r in result.report.reservations] == ["constant-learning-rate"]
    assert "could not decide" in result.text
    assert "a scheduler that is never stepped looks the same on both sides" in result.text
