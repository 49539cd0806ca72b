"""Published checks that pass without checking anything, rebuilt as ports: none of them passes here.

Each stands beside a clean twin, the same port mended, which does pass.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from batch import Case, Result, run_all
from portalign.records import Step
from portalign.results import Outcome
from tiny_ports import Said, portalign

pytestmark = [pytest.mark.end_to_end, pytest.mark.faults]

VACUOUS = Path(__file__).parent / "vacuous"
PADDLE = "candidate={framework: paddle, build: ../parts/paddle_side.py:build}"
MEANT = "tolerance={mean: 1.0e-6}"
DATA = "batches=../parts/data.py:batches"


def _case(port: str, step: Step, *overrides: str) -> Case:
    return Case(step, overrides, port=f"../vacuous/{port}")


def _schedule(torch: str, paddle: str) -> str:
    return (
        f"lr_scheduler={{torch: '../parts/torch_side.py:{torch}', "
        f"paddle: '../parts/paddle_side.py:{paddle}', total: 89}}"
    )


COSINE = "lr_scheduler={name: cosine_warmup, warmup: 10, total: 100"

# name: what is run, the rules that speak, what they say
VAIN: dict[str, tuple[Case, list[str], str]] = {
    "torch trained twice": (
        _case("bert_backward", Step.BACKWARD),
        ["same-side"],
        "torch_side.py:build and check.py:build_port return the same model",
    ),
    "torch imported twice": (
        _case(
            "bert_backward",
            Step.BACKWARD,
            "candidate={framework: torch, build: ../parts/check.py:build}",
        ),
        ["same-side"],
        "A model compared with itself always agrees. Let the candidate's `build:` return the port",
    ),
    "one file for both sides": (
        _case("one_file", Step.FORWARD),
        ["same-side"],
        "both sides are built by the same function build() of the same code",
    ),
    "never stepped": (
        _case("alexnet_lr", Step.LR_SCHEDULER),
        ["constant-learning-rate"],
        "the learning rate is 0.1 at all 90 points: a scheduler that is never stepped looks the "
        "same on both sides. Step it",
    ),
    "never stepped, and wrong": (
        _case(
            "alexnet_lr",
            Step.LR_SCHEDULER,
            _schedule("never_stepped", "wrong_and_never_stepped"),
        ),
        ["constant-learning-rate"],
        "the learning rate is 0.1 at all 90 points",
    ),
    "step commented out": (
        _case("mobilenet", Step.LR_SCHEDULER),
        ["constant-learning-rate"],
        "the learning rate is 0.1 at all 61 points",
    ),
    "one batch at 100 of 100": (
        _case("mobilenet", Step.METRIC),
        ["saturated-metric", "saturated-metric"],
        "accuracy is 1: a candidate that is a little wrong would score the same. Use data",
    ),
    "a thousand allowed": (
        _case("padiff", Step.FORWARD),
        ["loose-tolerance"],
        "`tolerance: mean: 1000` lets output logits pass even when its elements are shuffled",
    ),
    "a thousand allowed to losses": (
        _case("padiff", Step.BACKWARD),
        ["loose-tolerance"],
        "`tolerance: mean: 1000` is no smaller than any loss",
    ),
    "a thousand allowed to rates": (
        _case("padiff", Step.LR_SCHEDULER),
        ["loose-tolerance"],
        "is no smaller than any learning rate (0.001 at most)",
    ),
    "a thousand allowed to metrics": (
        _case("padiff", Step.METRIC),
        ["loose-tolerance"],
        "is no smaller than any metric",
    ),
}
CLEAN: dict[str, Case] = {
    "torch trained twice": _case("bert_backward", Step.BACKWARD, PADDLE),
    "one file for both sides": _case("one_file", Step.FORWARD, PADDLE),
    "never stepped": _case("alexnet_lr", Step.LR_SCHEDULER, _schedule("stepped", "stepped")),
    "one batch at 100 of 100": _case("mobilenet", Step.METRIC, DATA),
    "a thousand allowed": _case("padiff", Step.FORWARD, MEANT),
    "a thousand allowed to losses": _case("padiff", Step.BACKWARD, MEANT),
    "a thousand allowed to rates": _case("padiff", Step.LR_SCHEDULER, MEANT),
    "a thousand allowed to metrics": _case("padiff", Step.METRIC, MEANT),
    "half a cosine": _case("padiff", Step.LR_SCHEDULER, MEANT, f"{COSINE}, num_cycles: 0.5}}"),
}
# Explained away as rounding in the published check: it is another curve.
WRONG: dict[str, tuple[Case, str]] = {
    "a whole cosine for a half": (
        _case(
            "padiff",
            Step.LR_SCHEDULER,
            MEANT,
            f"{COSINE}, num_cycles: 0.5, candidate: {{num_cycles: 1.0}}}}",
        ),
        "89 of 101 differ, first at point 11",
    ),
    "another step size": (
        _case("alexnet_lr", Step.LR_SCHEDULER, _schedule("stepped", "wrong_size")),
        "first at point 7, 0.1 against 0.01",
    ),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    cases = {f"vain {name}": case for name, (case, _, _) in VAIN.items()}
    cases |= {f"clean {name}": case for name, case in CLEAN.items()}
    cases |= {f"wrong {name}": case for name, (case, _) in WRONG.items()}
    return run_all(cases, tmp_path_factory.mktemp("vacuous"))


@pytest.mark.parametrize("name", VAIN)
def test_a_check_that_can_not_fail_does_not_pass(results: dict[str, Result], name: str) -> None:
    result = results[f"vain {name}"]
    _, rules, said = VAIN[name]

    assert result.report.outcome is Outcome.INCONCLUSIVE, result.text
    assert result.exit_code == 2
    assert [one.rule for one in result.report.reservations] == rules
    assert said in result.report.reservations[0].text
    assert said in result.report.headline
    assert "could not decide" in result.text


@pytest.mark.parametrize("name", CLEAN)
def test_the_mended_check_passes(results: dict[str, Result], name: str) -> None:
    result = results[f"clean {name}"]

    assert result.report.reservations == ()
    assert result.report.outcome is Outcome.PASS, result.text
    assert result.exit_code == 0


@pytest.mark.parametrize("name", WRONG)
def test_another_curve_is_no_rounding(results: dict[str, Result], name: str) -> None:
    result = results[f"wrong {name}"]

    assert result.report.outcome is Outcome.FAIL, result.text
    assert result.exit_code == 1
    assert WRONG[name][1] in result.text


def test_a_metric_in_per_cent_is_saturated_at_100(results: dict[str, Result]) -> None:
    _, percent = results["vain one batch at 100 of 100"].report.reservations

    assert " is 100: " in percent.text


def test_a_torch_model_on_a_side_declared_paddle_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = _step(
        capsys,
        tmp_path,
        "one_file",
        "candidate={framework: paddle, build: ../parts/torch_side.py:build}",
    )

    assert said.code == 2
    assert "Net, not paddle.nn.Layer" in said.all
    assert "correct `framework:`" in said.all


def _step(capsys: pytest.CaptureFixture[str], logs: Path, port: str, override: str) -> Said:
    place = ("--port", str(VACUOUS / port), "--logs", str(logs))
    return portalign(capsys, "step", "forward", *place, "--set", override)


@pytest.mark.parametrize("link", ["torch.npy", "link.npy"], ids=["named twice", "linked"])
def test_a_dump_compared_with_itself_proves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], link: str
) -> None:
    np.save(tmp_path / "torch.npy", np.arange(4.0))
    (tmp_path / "link.npy").symlink_to(tmp_path / "torch.npy")

    said = portalign(capsys, "compare", str(tmp_path / "torch.npy"), str(tmp_path / link))

    assert said.code == 2
    assert "a dump compared with itself always agrees" in said.all


def test_equal_dumps_of_two_sides_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("torch.npy", "paddle.npy"):
        np.save(tmp_path / name, np.arange(4.0))

    dumps = [str(path) for path in sorted(tmp_path.iterdir())]

    assert portalign(capsys, "compare", *dumps).code == 0
    read = json.loads(portalign(capsys, "compare", *dumps, "--json").out)
    assert (read["outcome"], len(read["comparisons"])) == ("pass", 1)
    assert "一致" in portalign(capsys, "compare", *dumps, "--lang", "zh").out
