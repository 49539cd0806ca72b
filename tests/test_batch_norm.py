"""Train mode: a convention is recognised by its number, a fault in the same place still fails."""

from __future__ import annotations

import pytest

from batch import Case, Result, run_all
from portalign.findings import Finding, FindingKind
from portalign.records import Kind, Step
from portalign.results import Comparison, Outcome, Verdict

pytestmark = [pytest.mark.end_to_end, pytest.mark.faults]

REVERSED = (
    "reference={framework: paddle, build: paddle_side.py:build}",
    "candidate={framework: torch, build: torch_side.py:build}",
)
TORCH = ("candidate={framework: torch, build: torch_side.py:build_port}",)


def _case(mistake: str, *more: str) -> Case:
    return Case(Step.BACKWARD, (f"settings.mistake={mistake}", *more), port="../normed")


CASES = {
    "right": _case("none"),
    "reversed": _case("none", *REVERSED),
    "without twin": _case("none", "twin=off"),
    "same framework": _case("none", *TORCH),
    "momentum": _case("momentum"),
    "eps": _case("eps"),
    "wrong side": _case("wrong_side"),
    "biased": _case("biased", *TORCH),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    return run_all(CASES, tmp_path_factory.mktemp("norms"))


def _variances(result: Result) -> list[Comparison]:
    return [c for c in result.report.comparisons if c.key.slot in ("running_var", "_variance")]


def _of_statistics(result: Result) -> tuple[Finding, ...]:
    return tuple(f for f in result.report.findings if f.rule == "batch-norm-statistics")


@pytest.mark.parametrize("name", ["right", "reversed", "without twin"])
def test_the_two_conventions_of_the_running_variance_are_a_known_difference(
    results: dict[str, Result], name: str
) -> None:
    result = results[name]
    later = [one for one in _variances(result) if one.key.iteration]
    (found,) = _of_statistics(result)

    assert result.report.outcome is Outcome.PASS, result.text
    assert {one.verdict for one in later} == {Verdict.KNOWN}
    assert len(later) == 8  # two layers, four iterations
    assert found.kind is FindingKind.KNOWN_DIFFERENCE
    assert found.where == tuple(one.label for one in later)
    assert "unbiased in torch and biased in paddle" in result.text
    assert "8 known difference" in result.report.headline


def test_n_is_known_from_the_batches_or_read_off_where_their_fields_disagree(
    results: dict[str, Result],
) -> None:
    sizes = [
        one.reason.partition("n = ")[2].partition(",")[0]
        for one in _variances(results["right"])
        if one.key.iteration and one.key.path == "norm2"
    ]

    assert sizes == ["48", "48", "24", "30"]


def test_the_running_mean_agrees_in_float64_once_momentum_is_rounded_alike(
    results: dict[str, Result],
) -> None:
    report = results["right"].report
    means = [c for c in report.comparisons if c.key.slot == "running_mean" and c.twin]

    assert means
    assert all(c.twin is not None and c.twin.rel_frobenius < 1e-13 for c in means)
    assert any("momentum 0.1 rounded through float32" in note for note in report.notes)


def test_one_framework_on_both_sides_has_no_known_difference(results: dict[str, Result]) -> None:
    assert results["same framework"].report.outcome is Outcome.PASS
    assert not _of_statistics(results["same framework"])


@pytest.mark.parametrize(
    ("name", "claim", "remedy"),
    [
        (
            "momentum",
            "running statistics take 0.9 of each batch, the reference 0.1: momentum read the other "
            "way round",
            "set momentum=0.9",
        ),
        (
            "wrong side",
            "running variance: unbiased (1 / (n - 1)) on the candidate, on the reference biased "
            "(1 / n)",
            "keep the reference's variance",
        ),
        (
            "biased",
            "running variance: biased (1 / n) on the candidate, on the reference unbiased "
            "(1 / (n - 1))",
            "keep the reference's variance",
        ),
    ],
)
def test_a_fault_in_the_statistics_fails_and_is_named(
    results: dict[str, Result], name: str, claim: str, remedy: str
) -> None:
    result = results[name]
    causes = [f for f in _of_statistics(result) if f.kind is FindingKind.CAUSE]

    assert result.report.outcome is Outcome.FAIL
    assert [(f.claim, f.remedy, f.is_confirmed) for f in causes] == [(claim, remedy, True)]
    assert any(place in causes[0].where for place in result.report.divergence.origins)
    unexplained = [f for f in result.report.findings if f.kind is FindingKind.UNEXPLAINED]
    assert not {label for f in unexplained for label in f.where} & set(causes[0].where)


def test_a_wrong_eps_is_no_matter_of_the_statistics(results: dict[str, Result]) -> None:
    result = results["eps"]

    assert result.report.outcome is Outcome.FAIL
    assert any("norm1" in place for place in result.begins_at)
    assert not any(f.kind is FindingKind.CAUSE for f in _of_statistics(result))


def test_only_running_variances_are_ever_known_differences(results: dict[str, Result]) -> None:
    for result in results.values():
        known = [c for c in result.report.comparisons if c.verdict is Verdict.KNOWN]
        assert {c.key.kind for c in known} <= {Kind.BUFFER}
        assert {c.key.slot for c in known} <= {"running_var", "_variance"}
