"""The commands as a user types them: exit codes, files, what is printed, and a second call.

One representative per step; the many ways to be wrong are in the `test_planted_*` files.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest

from batch import ENVIRONMENT, PLANTED

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

ROOT = Path(__file__).parent.parent
TWINS = str(PLANTED / "twins")
STEPS = ("forward", "metric", "lr_scheduler", "backward")
LOGS = {
    "forward_diff.log": ["logits", "hidden_states.0", "hidden_states.3"],
    "metric_diff.log": ["accuracy", "f1", "accuracy_ties", "f1_absent_class"],
    "data_diff.log": ["length", "dataloader_0_input_ids", "dataloader_39_labels"],
    "scheduler_diff.log": [f"step_{at}_lr" for at in (100, 500, 1000, 2000, 4000)],
    "bp_align_diff.log": [f"{name}_{at}" for at in range(10) for name in ("loss", "lr")],
}
DUMPS = ("forward", "metric", "data", "scheduler", "bp_align")
LOAD = """
import json, sys
import reprod_log
read = reprod_log.ReprodDiffHelper().load_info
print(json.dumps({name: sorted(read(name)) for name in sys.argv[1:]}))
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def _run(*command: str, cwd: Path) -> Ended:
    ran = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Ended(ran.returncode, ran.stdout, ran.stderr)


def _portalign(*arguments: str, cwd: Path) -> Ended:
    return _run("-m", "portalign", *arguments, cwd=cwd)


def _script(name: str, *arguments: str, cwd: Path) -> Ended:
    return _run(str(ROOT / "steps" / f"{name}.py"), *arguments, cwd=cwd)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder far from the checkout, with a space in its name."""
    return tmp_path_factory.mktemp("a home with spaces")


@pytest.fixture(scope="module")
def bert(home: Path) -> Ended:
    """`portalign run` without arguments."""
    return _portalign("run", cwd=home)


@pytest.fixture(scope="module")
def twins(home: Path, bert: Ended) -> Ended:
    """The same for a port of torch to torch."""
    return _portalign("run", "--port", TWINS, cwd=home)


def test_a_run_without_arguments_aligns_bert(home: Path, bert: Ended) -> None:
    assert bert.code == 0, bert.out + bert.err
    assert "4 of 4 steps pass" in bert.out
    assert f"logs: {Path('logs/bert')}" in bert.out
    for step in STEPS:
        assert f"bert {step}: aligned" in bert.out
    assert "Traceback" not in bert.err
    assert json.loads((home / "logs/bert/summary.json").read_text())["outcome"] == "pass"


@pytest.mark.parametrize("log", LOGS)
def test_a_log_is_in_the_format_of_reprod_log(home: Path, bert: Ended, log: str) -> None:
    lines = (home / "logs/bert" / log).read_text().splitlines()
    texts = [re.sub(r"^\[\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\] root INFO: ", "", one) for one in lines]

    for key in LOGS[log]:
        at = texts.index(f"{key}: ")
        assert re.fullmatch(r"\tmean diff: check passed: True, value: \S+", texts[at + 1])
    assert "diff check passed" in texts
    assert texts[-1].startswith("portalign: aligned: all ")


def test_reprod_log_loads_every_dump(home: Path, bert: Ended) -> None:
    names = [f"{dump}_{side}.npy" for dump in DUMPS for side in ("torch", "paddle")]

    ran = _run("-c", LOAD, *names, cwd=home / "logs/bert")

    assert ran.code == 0, ran.err
    keys = json.loads(ran.out.splitlines()[-1])
    assert set(keys) == set(names)
    assert {"loss_0", "loss_9", "lr_9"} <= set(keys["bp_align_paddle.npy"])
    assert keys["scheduler_torch.npy"] == sorted(LOGS["scheduler_diff.log"])
    for dump in DUMPS:
        assert keys[f"{dump}_torch.npy"] == keys[f"{dump}_paddle.npy"]


@pytest.mark.parametrize("step", STEPS)
def test_a_report_keeps_to_its_schema(home: Path, bert: Ended, step: str) -> None:
    schema = json.loads((ROOT / "docs/report.schema.json").read_text())
    report = json.loads((home / "logs/bert" / step / "report.json").read_text())

    jsonschema.Draft202012Validator(schema).validate(report)
    assert (report["port"], report["step"], report["outcome"]) == ("bert", step, "pass")
    assert [side["framework"] for side in report["sides"]] == ["torch", "paddle"]
    for name in report["files"]:
        assert (home / "logs/bert" / name).is_file()
    assert not any("no values were kept" in note for note in report["notes"])
    kept = json.loads((home / "logs/bert" / step / "samples.json").read_text())["samples"]
    unlike = [one for one in report["comparisons"] if not one["native"]["is_bitwise_equal"]]
    assert bool(kept) is bool(unlike)  # where all is equal there is nothing to show


def test_a_script_runs_from_another_folder_and_fails_on_a_wrong_optimizer(
    home: Path, bert: Ended
) -> None:
    """Decay on biases and norms: the losses of the shipped port hide it, the weights don't."""
    wrong = "optimizer={name: adamw, lr: 3.0e-5, weight_decay: 0.01, no_decay: [bias, norm],"
    wrong += " clip_norm: 1.0, candidate: {no_decay: []}}"

    ran = _script("step4_backward", "--set", wrong, "--logs", "wrong", cwd=home)

    assert ran.code == 1, ran.out + ran.err
    assert "bert backward: diverged" in ran.out
    begins = "begins at update of bert.embeddings.LayerNorm.weight of iteration 1"
    assert begins in ran.out
    log = (home / "wrong/bert/bp_align_diff.log").read_text().splitlines()
    assert any(line.endswith("root INFO: diff check passed") for line in log)
    assert "portalign: diverged: " in log[-1]
    assert begins in log[-1]


def test_each_step_by_itself_fails_on_a_planted_mistake(tmp_path: Path, home: Path) -> None:
    """One command per step; what the step finds is in its report."""
    mistakes = {
        "forward": ("settings.mistake=epsilon", "norm out.0"),
        "metric": ("candidate.batches=data.py:short", "input length"),
        "lr_scheduler": (
            "lr_scheduler={name: step, step_size: 2, total: 6, candidate: {step_size: 3}}",
            "lr lr",
        ),
        "backward": (
            "optimizer={name: adamw, lr: 1.0e-3, candidate: {beta1: 0.8}}",
            "first.weight iteration 2",
        ),
    }

    for step, (mistake, first) in mistakes.items():
        ran = _portalign(
            *("step", step, "--port", TWINS, "--set", mistake, "--logs", str(tmp_path)), cwd=home
        )
        report = json.loads((tmp_path / "twins" / step / "report.json").read_text())

        assert ran.code == 1, f"{step}: {ran.out}{ran.err}"
        assert f"twins {step}: diverged" in ran.out
        assert report["outcome"] == "fail"
        assert report["divergence"]["first"] == first
        assert first in ran.out

    check = ("check", "--port", TWINS, "--logs", str(tmp_path))
    unlike = _portalign(*check, cwd=home)  # no step was captured with the port as it stands
    assert unlike.code == 2, unlike.out
    assert "stale: forward, metric, lr_scheduler, backward" in unlike.out
    checked = _portalign(*check, "--set", mistakes["forward"][0], cwd=home)

    assert checked.code == 1, checked.out
    states = {step["step"]: step["state"] for step in _summary(tmp_path / "twins")["steps"]}
    assert states == {
        "forward": "fail",
        "metric": "stale",
        "lr_scheduler": "stale",
        "backward": "stale",
    }


def test_both_sides_may_be_of_one_framework(home: Path, twins: Ended) -> None:
    assert twins.code == 0, twins.out + twins.err
    assert "4 of 4 steps pass" in twins.out
    for dump in DUMPS:
        for side in ("reference", "candidate"):
            assert (home / f"logs/twins/{dump}_{side}.npy").is_file()


def test_a_second_run_takes_the_place_of_the_first(home: Path, twins: Ended) -> None:
    folder = home / "logs/twins"
    before = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    first = (folder / "forward/report.json").stat().st_mtime_ns

    again = _portalign("step", "forward", "--port", TWINS, cwd=home)

    assert again.code == 0, again.out + again.err
    assert f"next: python steps/step2_metric.py --port {TWINS}" in again.out
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == before
    assert (folder / "forward/report.json").stat().st_mtime_ns > first


def test_quiet_prints_one_line_a_step(home: Path, twins: Ended) -> None:
    ran = _portalign("step", "lr_scheduler", "--port", TWINS, "--quiet", "--rejudge", cwd=home)

    assert ran.code == 0, ran.err
    assert ran.out == "twins lr_scheduler: aligned. all 1 pairs agree: 1 identical\n"
    assert ran.err == ""


def test_json_is_what_a_step_found_and_nothing_else(home: Path, twins: Ended) -> None:
    ran = _portalign("step", "lr_scheduler", "--port", TWINS, "--json", "--rejudge", cwd=home)

    found = json.loads(ran.out)
    assert (ran.code, ran.err) == (0, "")
    assert (found["step"], found["state"], found["verdicts"]) == (
        "lr_scheduler",
        "pass",
        {"identical": 1},
    )


def test_a_step_is_judged_again_without_running_a_side(home: Path, twins: Ended) -> None:
    folder = home / "logs/twins"
    captured = {path: path.stat().st_mtime_ns for path in folder.rglob("manifest.json")}
    log = folder / "bp_align_diff.log"
    log.unlink()

    ran = _portalign("step", "backward", "--port", TWINS, "--rejudge", cwd=home)

    assert ran.code == 0, ran.out + ran.err
    assert "twins backward: aligned" in ran.out
    assert log.is_file()
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("manifest.json")} == captured


def test_a_step_that_never_ran_can_not_be_judged_again(tmp_path: Path) -> None:
    ran = _portalign("step", "forward", "--port", TWINS, "--rejudge", cwd=tmp_path)

    assert ran.code == 2
    assert "what to do:" in ran.err
    assert "Traceback" not in ran.err


def test_the_last_script_names_what_is_missing(home: Path, twins: Ended, tmp_path: Path) -> None:
    shutil.copytree(home / "logs/twins", tmp_path / "logs/twins")
    shutil.rmtree(tmp_path / "logs/twins/metric")

    ran = _script("step5_check", "--port", TWINS, "--logs", "logs", cwd=tmp_path)

    assert ran.code == 2, ran.out + ran.err
    assert "3 of 4 steps pass; missing: metric" in ran.out
    assert "didn't run; python steps/step2_metric.py" in ran.out


def _summary(folder: Path) -> dict[str, list[dict[str, str]]]:
    read: dict[str, list[dict[str, str]]] = json.loads((folder / "summary.json").read_text())
    return read
