"""All reports of a port are written from what its steps recorded, with no framework in sight, and
none of them can cost a verdict.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

import sample_ports
from portalign.records import Step
from portalign.report.aggregate import Recorded, StepState, read_recorded, summarise
from portalign.report.data import write_step_report
from portalign.report.document import run_document
from portalign.report.outputs import recorded_run, write_outputs
from test_layering import FRAMEWORKS

OUTPUTS = ("curves.png", "growth.png", "junit.xml", "report.html", "report.md", "summary.json")


def write_port(folder: Path, found: Recorded) -> Path:
    """The step folders of a port, as runs leave them."""
    for step, report in found.reports.items():
        write_step_report(report, folder / step.value)
    return folder


def report_without_frameworks(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`portalign report` in a process that can import no framework."""
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({FRAMEWORKS!r}))\n"
        "from portalign.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", code, "report", str(folder), *options]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_everything_is_rebuilt_without_frameworks(tmp_path: Path) -> None:
    folder = write_port(tmp_path / "deep", sample_ports.deep_port())

    done = report_without_frameworks(folder)

    assert done.returncode == 1, done.stderr
    assert "deep: diverged" in done.stdout
    assert f"report: {folder / 'report.html'}" in done.stdout
    for name in OUTPUTS:
        assert (folder / name).stat().st_size > 100, name
    before = {name: (folder / name).read_bytes() for name in OUTPUTS}
    for name in OUTPUTS:
        (folder / name).unlink()
    assert report_without_frameworks(folder, "--quiet").stdout.count("\n") == 1
    assert set(before) == {name for name in OUTPUTS if (folder / name).is_file()}


def test_json_is_the_summary_and_nothing_else(tmp_path: Path) -> None:
    folder = write_port(tmp_path / "deep", sample_ports.deep_port())

    done = report_without_frameworks(folder, "--json", "--lang", "zh")

    said, kept = json.loads(done.stdout), json.loads((folder / "summary.json").read_text())
    assert said == kept
    assert done.returncode == 1
    assert "差异从哪里开始" in (folder / "report.md").read_text(encoding="utf-8")


def test_the_closing_table_stands_worst_first(tmp_path: Path) -> None:
    found = sample_ports.deep_port()
    order = (Step.LR_SCHEDULER, Step.FORWARD)
    swapped = Recorded("deep", {step: found.reports[step] for step in order}, {})

    table = run_document(summarise(swapped)).table

    assert table is not None
    assert [row.cells[1] for row in table.rows] == ["fail", "blocked", "blocked", "pass"]


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    done = report_without_frameworks(tmp_path / "nothing")

    assert done.returncode == 2
    assert "holds no step's report" in done.stderr
    assert "name the folder of a port that was run" in done.stderr


def test_an_output_that_fails_is_named_and_the_others_are_written(tmp_path: Path) -> None:
    found = sample_ports.passing_port()
    (tmp_path / "report.html").mkdir()  # a folder stands where the page should go

    written = write_outputs(tmp_path, summarise(found), found)

    assert [fault.partition(":")[0] for fault in written.faults] == ["report.html"]
    assert set(written.files) == set(OUTPUTS) - {"report.html"}


def test_a_fault_of_ours_in_one_output_is_said_and_costs_nothing_else(tmp_path: Path) -> None:
    found = sample_ports.passing_port()
    report = found.reports[Step.FORWARD]
    broken = dataclasses.replace(report, curves={"loss": None})
    found.reports[Step.FORWARD] = broken

    written = write_outputs(tmp_path, summarise(found), found)

    assert any("can't be written: AttributeError" in fault for fault in written.faults)
    assert "summary.json" in written.files


def test_what_was_stale_stays_stale_and_a_new_run_of_the_step_does_not(tmp_path: Path) -> None:
    found = sample_ports.passing_port()
    folder = write_port(tmp_path / "bert", found)
    stale = summarise(
        found,
        port_option="bert --set seed=1",
        staleness=lambda report: "captured with another port: seed 0 against 1",
    )
    write_outputs(folder, stale, found)

    again, _ = recorded_run(folder)

    assert {step.state for step in again.steps} == {StepState.STALE}
    assert [step.reason for step in again.steps] == [step.reason for step in stale.steps]
    assert again.next_command == stale.next_command
    newer = dataclasses.replace(found.reports[Step.METRIC], created="2027-01-01T00:00:00+00:00")
    write_step_report(newer, folder / "metric")
    later, _ = recorded_run(folder)
    assert [step.state.value for step in later.steps] == ["stale", "pass", "stale", "stale"]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"schema": 2}'])
def test_a_summary_that_can_not_be_read_is_made_anew(tmp_path: Path, content: str) -> None:
    folder = write_port(tmp_path / "bert", sample_ports.passing_port())
    (folder / "summary.json").write_text(content)

    run, recorded = recorded_run(folder)
    write_outputs(folder, run, recorded)

    assert json.loads((folder / "summary.json").read_text())["outcome"] == "pass"
    assert read_recorded(folder).broken == {}
