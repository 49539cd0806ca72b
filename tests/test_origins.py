"""Where differences begin, by the grafted pass: all places at once, and nothing downstream."""

from __future__ import annotations

import pytest

from batch import Case, Result, run_all
from portalign.findings import OriginKind
from portalign.records import Step
from portalign.results import Outcome

pytestmark = [pytest.mark.end_to_end, pytest.mark.faults]

SIDES = {"torch": (), "paddle": ("candidate={framework: paddle, build: paddle_side.py:build}",)}
BIAS, NORM = "blocks.0.fc1 out.0", "blocks.1.norm out.0"
GELU = "glue before blocks.2.fc2 in.0, after blocks.2.fc1"
RESIDUAL = "glue before blocks.1.norm in.0, after blocks.1.fc2"
SCALE = "glue before head in.0, after mix"
PATHS = {
    BIAS: "blocks.0.fc1",
    NORM: "blocks.1.norm",
    GELU: "blocks.2.fc2",
    RESIDUAL: "blocks.1.norm",
    SCALE: "head",
    "mix out.0 call 1": "mix",
}
# the candidate's mistakes: the origins, exactly and in this order
FORWARD: dict[str, tuple[str, ...]] = {
    "bias": (BIAS,),
    "eps": (NORM,),
    "gelu": (GELU,),
    "residual": (RESIDUAL,),
    "scale": (SCALE,),
    "second call": ("mix out.0 call 1",),
    "bias, eps, gelu": (BIAS, NORM, GELU),
    "residual, second call, scale": (RESIDUAL, "mix out.0 call 1", SCALE),
}
SEGMENTS = "forward bias, eps, gelu by segments"
BACKWARD_ONLY = {"detach": "backward after blocks.0"}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    mistakes = ["", *FORWARD, *BACKWARD_ONLY]
    cases = {
        f"{side} {step.value} {names}": Case(
            step, (*override, f"settings.mistakes=[{names}]"), port="../origins"
        )
        for side, override in SIDES.items()
        for step in (Step.FORWARD, Step.BACKWARD)
        for names in mistakes
    }
    cases |= {
        f"{side} {SEGMENTS}": Case(
            Step.FORWARD,
            (*override, "settings.mistakes=[bias, eps, gelu]", "twin=segments"),
            port="../origins",
        )
        for side, override in SIDES.items()
    }
    return run_all(cases, tmp_path_factory.mktemp("origins"))


@pytest.mark.parametrize("step", ["forward", "backward"])
@pytest.mark.parametrize("side", SIDES)
def test_a_clean_pair_has_no_origin(results: dict[str, Result], side: str, step: str) -> None:
    result = results[f"{side} {step} "]

    assert result.report.outcome is Outcome.PASS, result.text
    assert result.begins_at == ()


@pytest.mark.parametrize("names", FORWARD)
@pytest.mark.parametrize("step", ["forward", "backward"])
@pytest.mark.parametrize("side", SIDES)
def test_every_mistake_is_an_origin_and_nothing_else_is(
    results: dict[str, Result], side: str, step: str, names: str
) -> None:
    result = results[f"{side} {step} {names}"]
    found = result.report.divergence

    assert result.report.outcome is Outcome.FAIL
    assert found.origins == FORWARD[names], result.text
    assert tuple(place.label for place in found.places) == found.origins
    assert [place.path for place in found.places] == [PATHS[label] for label in found.origins]
    assert found.unresolved == ()
    assert found.origins[0] in result.report.headline


@pytest.mark.parametrize("side", SIDES)
def test_a_twin_by_segments_names_the_same_origins(results: dict[str, Result], side: str) -> None:
    result = results[f"{side} {SEGMENTS}"]

    assert result.report.sides[1].flags["twin"] == "segments"
    assert result.begins_at == (BIAS, NORM, GELU), result.text


def test_three_mistakes_leave_the_rest_inherited(results: dict[str, Result]) -> None:
    """The twin of the test above: what is downstream does differ, and is not named for it."""
    found = results["paddle forward bias, eps, gelu"].report.divergence

    assert {"blocks.0.norm out.0", "blocks.2.norm out.0", "output logits"} <= set(found.inherited)
    assert not set(found.inherited) & set(found.origins)


@pytest.mark.parametrize("side", SIDES)
def test_a_forward_pass_can_not_see_a_detached_input(results: dict[str, Result], side: str) -> None:
    assert results[f"{side} forward detach"].report.outcome is Outcome.PASS


@pytest.mark.parametrize("side", SIDES)
def test_a_detached_input_is_named_by_the_backward_pass(
    results: dict[str, Result], side: str
) -> None:
    result = results[f"{side} backward detach"]

    assert result.report.outcome is Outcome.FAIL
    assert result.begins_at == (BACKWARD_ONLY["detach"],)
    (place,) = result.report.divergence.places
    assert (place.kind, place.path, place.after) == (OriginKind.BACKWARD, "blocks.0", "blocks.0")
