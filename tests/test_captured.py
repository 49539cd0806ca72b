"""A verdict holds for what was captured: a port that changed since is stale, not judged again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from portalign.captured import FILE_NAME, note
from portalign.config import load_port
from portalign.config.decisive import changes, overrides_back
from portalign.records import Step
from portalign.report.data import read_step_report
from tiny_ports import (
    Said,
    assert_explained,
    capture_all,
    portalign,
    step,
    step_folder,
    write_port,
)

pytestmark = pytest.mark.end_to_end

HELPER = "SCALE = 1.0\n"
SETTINGS = {"settings": "{size: base, note: plain}"}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Port file of a port whose data function imports a module beside it, forward captured."""
    file = write_port(tmp_path_factory.mktemp("captured") / "port", entries=SETTINGS)
    data = file.parent / "data.py"
    data.write_text("from helper import SCALE\n" + data.read_text())
    (file.parent / "helper.py").write_text(HELPER)
    (file.parent / "unrelated.py").write_text("")
    capture_all([file], Step.FORWARD)
    return file


@pytest.fixture
def ran(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A copy of its own, concluded; what it was captured with is noted beside the captures."""
    file = _copied(good, tmp_path)
    assert step(file, capsys, "--rejudge").code == 0
    return file


def _copied(good: Path, tmp_path: Path, *overrides: str) -> Path:
    shutil.copytree(good.parent, tmp_path / "port")
    file = tmp_path / "port" / "port.yaml"
    note(load_port(file, overrides), Step.FORWARD, step_folder(file, Step.FORWARD))
    return file


def _check(file: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[str, str, Said]:
    """State and reason of the forward step, and what the command printed."""
    logs = file.parent / "logs"
    said = portalign(capsys, "check", "--port", str(file), "--logs", str(logs), *more)
    forward = json.loads((logs / "tiny" / "summary.json").read_text())["steps"][0]
    assert said.code == 2  # the other steps never ran
    return forward["state"], forward["reason"], said


CHANGES = {
    "nothing": ((), "", False),
    "a setting": (("settings.size=zzz",), 'settings.size was "base" and is "zzz"', True),
    "what carries the weights": (("seed=3",), "seed was 0 and is 3", True),
    "the tolerance": (("tolerance.mean=1e-3",), "", False),
    "an entry of other steps": (("optimizer.lr=0.5", "metrics=[]", "iterations=3"), "", False),
    "how the sides are started": (("parallel=off",), "", False),
}


@pytest.mark.parametrize(("sets", "said", "is_stale"), CHANGES.values(), ids=CHANGES)
def test_a_changed_port_is_stale_and_is_not_judged_again(
    ran: Path,
    capsys: pytest.CaptureFixture[str],
    sets: tuple[str, ...],
    said: str,
    is_stale: bool,
) -> None:
    options = [option for each in sets for option in ("--set", each)]
    report = step_folder(ran, Step.FORWARD) / "report.json"
    before = report.read_bytes()

    state, reason, _ = _check(ran, capsys, *options)
    again = step(ran, capsys, "--rejudge", *options)

    assert state == ("stale" if is_stale else "pass")
    if is_stale:
        assert said in reason
        assert "run python steps/step1_forward.py again" in reason
        assert_explained(again, said, "without --rejudge")
        assert report.read_bytes() == before
    else:
        assert again.code == 0, again.all


FILES = {
    "a function": ("candidate.py", True),
    "the data": ("data.py", True),
    "a module that one imports": ("helper.py", True),
    "a file that nothing imports": ("unrelated.py", False),
}


@pytest.mark.parametrize(("name", "is_stale"), FILES.values(), ids=FILES)
def test_changed_code_makes_a_step_stale(
    ran: Path, capsys: pytest.CaptureFixture[str], name: str, is_stale: bool
) -> None:
    with (ran.parent / name).open("a") as file:
        file.write("\n# changed\n")

    state, reason, _ = _check(ran, capsys)
    again = step(ran, capsys, "--rejudge")

    assert state == ("stale" if is_stale else "pass")
    assert ("a file with its functions has changed since" in reason) is is_stale
    assert again.code == (2 if is_stale else 0)


def test_a_run_with_an_override_is_checked_with_the_same_override(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ("--set", "settings.note=two words")
    file = _copied(good, tmp_path, sets[1])
    advised = step(file, capsys, "--rejudge", *sets)

    state, reason, _ = _check(file, capsys)

    assert advised.code == 0, advised.all
    assert "--set 'settings.note=two words'" in advised.all  # the next step is told the same
    assert state == "stale"
    assert 'settings.note was "two words" and is "plain"' in reason
    assert "repeat --set 'settings.note=two words'" in reason
    state, _, said = _check(file, capsys, *sets)
    assert state == "pass"
    assert "--set 'settings.note=two words'" in said.all


def test_captures_without_a_note_are_judged_and_prove_nothing_for_the_whole(
    ran: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = step_folder(ran, Step.FORWARD)
    assert read_step_report(folder / "report.json").fingerprint != ""
    (folder / FILE_NAME).unlink()

    assert step(ran, capsys, "--rejudge").code == 0

    assert read_step_report(folder / "report.json").fingerprint == ""
    state, reason, _ = _check(ran, capsys)
    assert (state, reason.partition(";")[0]) == ("stale", "nothing says what it was captured with")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"fingerprint": 1, "settings": {}}'])
def test_a_broken_note_is_refused(ran: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (step_folder(ran, Step.FORWARD) / FILE_NAME).write_text(text)

    assert_explained(step(ran, capsys, "--rejudge"), FILE_NAME, "run the step again")


def test_the_report_names_the_keys_of_the_log(ran: Path) -> None:
    assert read_step_report(step_folder(ran, Step.FORWARD) / "report.json").exchange == ("logits",)


def test_differences_are_named_entry_by_entry() -> None:
    before = {"settings": {"size": "base", "layers": [1, 2]}, "seed": 0}
    now = {"settings": {"size": "mini", "layers": [1, 2], "new": {}}, "seed": 0}

    assert changes(before, before) == overrides_back(before, before) == ()
    assert changes(before, now) == (
        "settings.new was absent and is {}",
        'settings.size was "base" and is "mini"',
    )
    assert overrides_back(before, now) == ("settings.size=base",)
