"""The grafted pass only names origins: where it fails, the verdict stands and a note says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from portalign.conclude import conclude
from portalign.config import load_port
from portalign.records import Step
from portalign.results import Outcome, StepReport
from portalign.store.layout import FAILURE, GRAFT
from tiny_ports import MODEL, capture_all, complaint, step_folder, write_port

pytestmark = pytest.mark.end_to_end

WRONG = MODEL.replace("torch.tanh", "torch.sin")
# The second float64 pass is the grafted one; the model can't take that.
ONCE = "        self.n_calls += 1\n        if self.n_calls > 2: raise KeyError('no more calls')\n"
FRAGILE = WRONG.replace("__init__()\n", "__init__()\n        self.n_calls = 0\n", 1).replace(
    "forward(self, x):\n", "forward(self, x):\n" + ONCE
)
RIGHT_BUT_FRAGILE = FRAGILE.replace("torch.sin", "torch.tanh")


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("ports")
    candidates = {"sound": WRONG, "fragile": FRAGILE, "right": RIGHT_BUT_FRAGILE}
    files = {
        name: write_port(folder / name, reference=MODEL, candidate=text)
        for name, text in candidates.items()
    }
    capture_all(list(files.values()), Step.FORWARD)
    return files


def _report(file: Path) -> StepReport:
    assert complaint(file, Step.FORWARD) is None
    return conclude(load_port(file), Step.FORWARD, step_folder(file, Step.FORWARD)).report


def test_a_pass_that_raises_leaves_the_verdict_and_a_note(ports: dict[str, Path]) -> None:
    report = _report(ports["fragile"])

    assert report.outcome is Outcome.FAIL
    assert report.divergence.unresolved == ("glue before last, after first out.0: last in.0",)
    noted = [note for note in report.notes if "origins come from the order of events" in note]
    assert len(noted) == 1
    assert "because the grafted pass failed with" in noted[0]
    assert "no more calls" in noted[0]


def test_a_pass_that_ends_well_leaves_no_note(ports: dict[str, Path]) -> None:
    report = _report(ports["sound"])

    assert report.outcome is Outcome.FAIL
    assert report.divergence.origins == ("glue before last in.0, after first",)
    assert not [note for note in report.notes if "order of events" in note]


def test_a_right_candidate_passes_though_its_grafted_pass_raised(ports: dict[str, Path]) -> None:
    report = _report(ports["right"])

    assert (step_folder(ports["right"], Step.FORWARD) / GRAFT / FAILURE).is_file()
    assert report.outcome is Outcome.PASS
    assert not [note for note in report.notes if "order of events" in note]
