"""Wrong models: the forward step fails and names the module, or the code between two modules."""

from __future__ import annotations

import pytest

from batch import Case, Result, run_all
from portalign.records import Kind, Step
from portalign.results import Basis, Outcome, Verdict

pytestmark = [pytest.mark.end_to_end, pytest.mark.faults]

LAYER = "bert.encoder.layer"
QUERY = f"{LAYER}.1.attention.self.query"


def _mistake(name: str, port: str = "bert") -> Case:
    return Case(Step.FORWARD, (f"settings.mistake={name}",), port)


RIGHT = {"bert": Case(Step.FORWARD), "resnet": Case(Step.FORWARD, port="resnet")}
# name: what is run, the label of the first pair that differs
WRONG: dict[str, tuple[Case, str]] = {
    "gelu by tanh": (_mistake("tanh_gelu"), f"{LAYER}.1.output.dense in.0"),
    "norm epsilon": (_mistake("norm_epsilon"), f"{LAYER}.1.output.LayerNorm out.0"),
    "square weight as it is": (
        Case(Step.FORWARD, (f"weights={{layout: {{{QUERY}.weight: as_is}}}}",)),
        f"{QUERY} out.0",
    ),
    "square weight transposed when used": (
        _mistake("transposed_weight"),
        f"{LAYER}.2.attention.self.key out.0",
    ),
    "attention without scale": (
        _mistake("unscaled_attention"),
        f"{LAYER}.0.attention.output.dense in.0",
    ),
    "last token pooled": (_mistake("last_token_pooled"), "bert.pooler.dense in.0"),
    "bias left out": (_mistake("inner_bias_left_out"), f"{LAYER}.0.output.dense out.0"),
    "batch norm epsilon": (_mistake("norm_epsilon", "resnet"), "layer2.0.bn1 out.0"),
    "average for maximum": (_mistake("average_pool", "resnet"), "maxpool out.0"),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    cases = {**RIGHT, **{name: case for name, (case, _) in WRONG.items()}}
    return run_all(cases, tmp_path_factory.mktemp("forward"))


@pytest.mark.parametrize("name", RIGHT)
def test_the_right_model_passes(results: dict[str, Result], name: str) -> None:
    result = results[name]

    assert result.report.outcome is Outcome.PASS, result.text
    assert result.exit_code == 0
    assert result.begins_at == ()
    assert {Kind.PARAMETER, Kind.ACTIVATION, Kind.OUTPUT} <= {
        item.key.kind for item in result.report.comparisons
    }


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_model_fails_and_the_first_place_is_named(
    results: dict[str, Result], name: str
) -> None:
    result, first = results[name], WRONG[name][1]

    assert result.report.outcome is Outcome.FAIL, result.text
    assert result.exit_code == 1
    assert result.report.divergence.first == first
    assert len(result.begins_at) == 1, result.begins_at
    assert first in result.begins_at[0]
    assert "diverged" in result.text
    assert f"{first}: " in result.text


@pytest.mark.parametrize("name", WRONG)
def test_what_is_behind_the_mistake_is_not_listed_as_a_cause(
    results: dict[str, Result], name: str
) -> None:
    result, first = results[name], WRONG[name][1]
    failed = {c.label for c in result.report.comparisons if c.outcome is Outcome.FAIL}

    behind = failed - {first}
    assert behind
    assert behind <= {*result.report.divergence.inherited}
    assert not behind & {*result.begins_at}


@pytest.mark.parametrize("name", ["gelu by tanh", "norm epsilon", "batch norm epsilon"])
def test_small_differences_are_told_from_rounding_by_the_float64_twins(
    results: dict[str, Result], name: str
) -> None:
    failed = [c for c in results[name].report.comparisons if c.label == WRONG[name][1]]

    assert [(c.verdict, c.basis) for c in failed] == [(Verdict.DIVERGENT, Basis.TWINS)]
    # measured: 5e-6 for the norm's epsilon, 1.6e-4 for the GELU, 4e-4 for the batch norm's
    assert 0 < failed[0].native.rel_frobenius < 1e-3


RUNS_ACTIVATION = (
    f"between {LAYER}.1.intermediate.dense and {LAYER}.1.output.dense the reference runs "
    f"{LAYER}.1.intermediate.intermediate_act_fn (GELUActivation), which the candidate has no "
    "module for"
)


def test_a_note_names_the_reference_module_inside_the_glue_that_is_wrong(
    results: dict[str, Result],
) -> None:
    assert RUNS_ACTIVATION in results["gelu by tanh"].report.notes
    assert f"{LAYER}.1.output.dense in.0" in results["gelu by tanh"].begins_at[0]


@pytest.mark.parametrize("name", ["bert", "norm epsilon", "bias left out", "last token pooled"])
def test_no_module_is_named_where_no_glue_is_wrong_or_none_runs_in_it(
    results: dict[str, Result], name: str
) -> None:
    assert not [note for note in results[name].report.notes if "the reference runs" in note]
