"""`make published` fails when a verdict, a place, a cause or a distance is another than it was."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from published_cases import RUNS, Run
from published_curves import TENSORS, curve_of, factor, published
from published_runs import Ended, complaint, nearer

GEMMA = next(run for run in RUNS if run.name == "attention_scale")
SMALL = next(run for run in RUNS if run.name == "3 tokens")
LARGE = next(run for run in RUNS if run.experiment == "random_init_masked")
COPIED = next(run for run in RUNS if run.experiment.endswith("copied"))


def finding(claim: str, kind: str = "cause") -> dict[str, Any]:
    return {"kind": kind, "claim": claim}


def ended(
    run: Run,
    *,
    exit_code: int | None = None,
    claims: tuple[str, ...] | None = None,
    kind: str = "cause",
    distances: tuple[float, ...] = (0.019, 0.02),
    experiment: str = "",
    times: float = 1.0,
    memory: float = 6e9,
) -> Ended:
    """What a run ends with when it is as it must be, but for what is given."""
    numbers = published(experiment or run.experiment) if run.experiment else {}
    report = {
        "divergence": {"origins": [run.begins], "unresolved": []},
        "findings": [finding(claim, kind) for claim in (run.causes if claims is None else claims)],
        "reservations": [],
        "comparisons": [
            {
                "key": {"kind": "output", "path": name},
                "native": {"mean_abs": times * value, "max_abs": value},
            }
            for name, value in numbers.items()
        ],
        "sides": [{"peak_memory_bytes": memory}],
    }
    code = run.exit_code if exit_code is None else exit_code
    return Ended(run, code, report, 1.0, distances, "")


@pytest.mark.parametrize("run", [GEMMA, SMALL, LARGE, COPIED], ids=lambda run: run.name)
def test_what_is_as_it_must_be_is_no_complaint(run: Run) -> None:
    assert complaint(ended(run)) == ""


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (ended(GEMMA, exit_code=0), "aligned, not diverged"),
        (ended(GEMMA, claims=()), "nothing says"),
        (ended(GEMMA, claims=("the attention scale is 0.07",)), "nothing says"),
        (ended(GEMMA, kind="unexplained"), "nothing says"),
        (ended(SMALL, distances=(0.02, 0.05)), "nearer side is reference"),
        (ended(SMALL, distances=(float("nan"), 0.05)), "nearer side is unknown"),
        (ended(LARGE, times=6.0), "factor of 6.0"),
        (ended(LARGE, times=float("nan")), "factor of inf"),
        (ended(LARGE, memory=15e9), "15.0 GB"),
        (ended(COPIED, experiment="pretrained_unmasked"), "hidden state 0"),
    ],
    ids=[
        "verdict",
        "no cause",
        "another number",
        "unexplained",
        "another side",
        "nan distance",
        "another height",
        "nan height",
        "memory",
        "table not copied",
    ],
)
def test_what_changed_is_a_complaint(one: Ended, said: str) -> None:
    assert said in complaint(one)


def test_a_flat_curve_is_not_of_the_published_shape() -> None:
    one = ended(COPIED)
    for each in one.report["comparisons"]:
        each["native"]["mean_abs"] = 0.0 if each["key"]["path"].endswith("states.0") else 1e-5

    assert "don't grow" in complaint(one)


def test_the_published_curves_hold_every_tensor_of_every_experiment() -> None:
    experiments = [run.experiment for run in RUNS if run.experiment]

    assert len(experiments) == 5
    for experiment in experiments:
        assert set(published(experiment)) == set(TENSORS)


def test_the_factor_is_that_of_the_worst_layer_either_way() -> None:
    curve = curve_of(ended(LARGE).report)

    assert factor(curve, LARGE.experiment) == 1.0
    assert factor([*curve[:-1], curve[-1] / 3], LARGE.experiment) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("distances", "side"),
    [((0.14, 0.54), "reference"), ((0.5, 0.1), "candidate"), ((0.019, 0.0192), "neither")],
)
def test_a_side_is_nearer_only_beyond_what_rounding_makes(
    distances: tuple[float, float], side: str
) -> None:
    assert nearer(distances) == side
