"""Known differences of the frameworks: reported with their number where they are real, by
recomputing both sides, and no excuse for a port that has another fault.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from portalign.conclude import conclude
from portalign.config import load_port
from portalign.diagnose.known.explained import fits, misfit
from portalign.findings import FindingKind, Part
from portalign.records import Step
from portalign.results import Outcome, StepReport, Verdict
from tiny_ports import DATA, MODEL, capture_all, complaint, step_folder, write_port

pytestmark = pytest.mark.end_to_end

# the second label of every batch is ignored
IGNORING = DATA.replace(
    "random.integers(0, 2, size=4)", "np.where(np.arange(4) == 1, -100, random.integers(0, 2, 4))"
)
SINE = MODEL.replace("torch.tanh", "torch.sin")
OWN = """
def rmsprop(model, settings):
    import torch
    return torch.optim.RMSprop(model.parameters(), lr=0.01, alpha=0.9, weight_decay=0.01)

def paddle_rmsprop(model, rate, clip, settings):
    import paddle
    return paddle.optimizer.RMSProp(
        rate, settings["alpha"], 1e-8, parameters=model.parameters(), weight_decay=0.01
    )

def loss(outputs, batch):
    import torch.nn.functional as F
    return F.cross_entropy(outputs["logits"], batch["labels"])

def paddle_loss(outputs, batch):
    import paddle.nn.functional as F
    return F.cross_entropy(outputs["logits"], batch["labels"])
"""
OWN_RMSPROP = "{torch: own.py:rmsprop, paddle: own.py:paddle_rmsprop, lr: 0.01}"


@dataclass(frozen=True)
class Case:
    """A torch reference against a paddle candidate, or the other way round."""

    optimizer: str = "{name: sgd, lr: 0.1}"
    entries: dict[str, str] = field(default_factory=dict)
    candidate: str = MODEL
    data: str = DATA
    is_turned: bool = False


def _optimizer(name: str, more: str = "") -> str:
    return f"{{name: {name}, lr: 1.0e-2, {more}}}"


RMSPROP_FULL = "momentum: 0.9, centered: true, lr_scale: {last: 0.1}, clip_norm: 0.1"
WARMUP = {"lr_scheduler": "{name: linear_warmup, warmup: 1, total: 6}"}
DECAY = {"lr_scheduler": "{name: exponential, gamma: 0.5}"}
KNOWN: dict[str, tuple[str, Case]] = {  # and the rule that explains it
    "rmsprop, some decay": (
        "rmsprop",
        Case(_optimizer("rmsprop", "weight_decay: 0.1, no_decay: [bias]")),
    ),
    "rmsprop, eps squared": ("rmsprop", Case(_optimizer("rmsprop", "candidate: {eps: 1.0e-16}"))),
    "rmsprop, all of it": ("rmsprop", Case(_optimizer("rmsprop", RMSPROP_FULL), WARMUP)),
    "rmsprop, natively": ("rmsprop", Case(_optimizer("rmsprop"), {"twin": "off"})),
    "rmsprop, turned": (
        "rmsprop",
        Case(_optimizer("rmsprop", "momentum: 0.9"), WARMUP, is_turned=True),
    ),
    "rmsprop, own": ("rmsprop", Case(OWN_RMSPROP, {"settings": "{alpha: 0.9}"})),
    "adamax": ("adamax", Case(_optimizer("adamax"))),
    "asgd": ("asgd", Case(_optimizer("asgd"), DECAY)),
    "asgd, turned": ("asgd", Case(_optimizer("asgd"), DECAY, is_turned=True)),
    "ignored labels": ("cross-entropy", Case(data=IGNORING)),
    "ignored labels, own": (
        "cross-entropy",
        Case(entries={"loss": "{torch: own.py:loss, paddle: own.py:paddle_loss}"}, data=IGNORING),
    ),
}
# the candidate's faults, and the parts to blame; what is known is blamed for nothing
FAULTS: dict[str, tuple[set[Part], Case]] = {
    "rmsprop, alpha": (
        {Part.OPTIMIZER_STATE},
        Case(_optimizer("rmsprop", "candidate: {alpha: 0.9}")),
    ),
    "rmsprop, eps": ({Part.UPDATE}, Case(_optimizer("rmsprop", "candidate: {eps: 1.0e-6}"))),
    "rmsprop, own alpha": (
        {Part.OPTIMIZER_STATE},
        Case(OWN_RMSPROP, {"settings": "{alpha: 0.95}"}),
    ),
    "rmsprop, learning rate": ({Part.LR}, Case(_optimizer("rmsprop", "candidate: {lr: 0.02}"))),
    "rmsprop, sine": ({Part.GRADIENT}, Case(_optimizer("rmsprop"), candidate=SINE)),
    "adamax, beta2": (
        {Part.OPTIMIZER_STATE},
        Case(_optimizer("adamax", "candidate: {beta2: 0.9}")),
    ),
    "asgd, decay": (
        {Part.OPTIMIZER_STATE},
        Case(_optimizer("asgd", "candidate: {weight_decay: 0.1}")),
    ),
    "ignored labels, counted": (
        {Part.LOSS},
        Case(
            entries={"loss": "{name: cross_entropy, candidate: {reduction: none}}"}, data=IGNORING
        ),
    ),
    "ignored labels, alpha": (
        {Part.OPTIMIZER_STATE},
        Case(_optimizer("rmsprop", "candidate: {alpha: 0.9}"), data=IGNORING),
    ),
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StepReport]:
    folder = tmp_path_factory.mktemp("ports")
    files = {
        name: _write(folder / name.replace(" ", "_").replace(",", ""), case)
        for name, (_, case) in (*KNOWN.items(), *FAULTS.items())
    }
    capture_all(list(files.values()), Step.BACKWARD)
    return {name: _report(file) for name, file in files.items()}


def _write(place: Path, case: Case) -> Path:
    frameworks = ("paddle", "torch") if case.is_turned else ("torch", "paddle")
    file = write_port(
        place,
        candidate=case.candidate,
        data=case.data,
        entries={"iterations": "2", "optimizer": case.optimizer, **case.entries},
        framework=frameworks[0],
        candidate_framework=frameworks[1],
    )
    (place / "own.py").write_text(OWN)
    return file


def _report(file: Path) -> StepReport:
    assert complaint(file, Step.BACKWARD) is None
    return conclude(load_port(file), Step.BACKWARD, step_folder(file, Step.BACKWARD)).report


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_difference_is_neither_a_pass_nor_the_ports_fault(
    reports: dict[str, StepReport], name: str
) -> None:
    report, (finding,) = reports[name], reports[name].findings

    assert report.outcome is Outcome.INCONCLUSIVE
    assert report.blames == ()
    assert [each.rule for each in report.reservations] == ["known-framework-difference"]
    assert (finding.rule, finding.kind) == (KNOWN[name][0], FindingKind.KNOWN_DIFFERENCE)
    assert finding.is_confirmed
    # The formulas are the frameworks' own: float64 (measured 6e-16), or float32 where no twin is.
    assert finding.after < (1e-5 if name == "rmsprop, natively" else 1e-12) < finding.before
    has_pairs = any(one.verdict is Verdict.KNOWN for one in report.comparisons)
    assert has_pairs != name.startswith("asgd")  # whose states have no counterpart


@pytest.mark.parametrize("name", FAULTS)
def test_a_known_difference_excuses_no_other_fault(
    reports: dict[str, StepReport], name: str
) -> None:
    report = reports[name]

    assert report.outcome is Outcome.FAIL
    assert {blame.part for blame in report.blames} == FAULTS[name][0]
    assert not [one for one in report.comparisons if one.verdict is Verdict.KNOWN]
    assert not [one for one in report.reservations if "known" in one.rule]


def test_a_known_difference_is_told_with_its_numbers(reports: dict[str, StepReport]) -> None:
    rmsprop, ignoring = (reports[name] for name in ("rmsprop, eps squared", "ignored labels"))

    assert rmsprop.headline.startswith(
        "RMSProp is not the same in torch and paddle: Paddle's `epsilon` stands inside the root, "
        "torch's `eps` outside; updates differ by up to 8.8e-05. What comes after it"
    )
    assert ignoring.findings[0].claim.endswith(
        "Paddle divides by all labels, torch by those it kept (by 4 and 3 in iteration 0); it "
        "differs by up to 0.25"
    )
    assert ignoring.findings[0].fitted == {"divided by in torch": 3.0, "divided by in paddle": 4.0}


def test_beside_another_fault_the_known_difference_is_still_named(
    reports: dict[str, StepReport],
) -> None:
    both = reports["ignored labels, alpha"]

    assert {(one.rule, one.kind) for one in both.findings} == {
        ("cross-entropy", FindingKind.KNOWN_DIFFERENCE),
        ("", FindingKind.UNEXPLAINED),
    }
    assert both.divergence.origins == (
        "state first.weight square_average of iteration 0, state-grafted",
    )


def test_nothing_that_is_not_finite_or_of_another_shape_fits() -> None:
    recorded = np.array([1.0, 2.0])

    assert fits(recorded, recorded)
    assert fits(np.zeros(2), np.zeros(2))
    assert fits(np.array([1.0, 2.0 + 1e-9]), recorded)
    assert not fits(np.array([1.0, 2.0 + 1e-8]), recorded)
    assert not fits(np.array([1.0, np.nan]), recorded)
    assert not fits(np.array([1.0, np.nan]), np.array([1.0, np.nan]))
    assert not fits(np.array([[1.0, 2.0]]), recorded)
    assert misfit(np.array([1.0, np.nan]), recorded) == misfit(np.zeros(3), recorded) == np.inf
    assert misfit(recorded, recorded) == misfit(np.zeros(2), np.zeros(2)) == 0.0
