"""State-grafted iterations: each link of a training iteration is judged on the reference's own
values, and only the one at fault is blamed.

Both sides are torch here; `test_planted_backward` holds torch against paddle.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from portalign.conclude import conclude
from portalign.config import load_port
from portalign.findings import OriginKind, Part
from portalign.records import Step
from portalign.results import Outcome, StepReport
from tiny_ports import MODEL, capture_all, complaint, step_folder, write_port

pytestmark = pytest.mark.end_to_end

ADAMW = "{{name: adamw, lr: 1.0e-2, weight_decay: 0.01, clip_norm: 0.1, candidate: {{{}}}}}"
MOMENTUM = "{{name: momentum, lr: 1.0e-2, clip_norm: 0.1, candidate: {{{}}}}}"
SINE = MODEL.replace("torch.tanh", "torch.sin")
# A right forward whose gradient stops at the last layer: losses of the first iteration agree.
CUT = MODEL.replace("torch.tanh(self.first(x))", "torch.tanh(self.first(x)).detach()")
# what only the candidate's optimizer has or its model does, and the links at fault
FAULTS: dict[str, tuple[str, str, set[Part]]] = {
    "eps": (ADAMW.format("eps: 1.0e-6"), MODEL, {Part.UPDATE}),
    "decoupled decay": (ADAMW.format("weight_decay: 0.0"), MODEL, {Part.UPDATE}),
    "beta1": (ADAMW.format("beta1: 0.8"), MODEL, {Part.OPTIMIZER_STATE}),
    "coupled decay": (MOMENTUM.format("weight_decay: 0.01"), MODEL, {Part.OPTIMIZER_STATE}),
    "another momentum": (MOMENTUM.format("momentum: 0.8"), MODEL, {Part.OPTIMIZER_STATE}),
    "nesterov": (MOMENTUM.format("nesterov: true"), MODEL, {Part.UPDATE}),
    "no clipping": (ADAMW.format("clip_norm: null"), MODEL, {Part.CLIPPING}),
    "learning rate": (ADAMW.format("lr: 1.1e-2"), MODEL, {Part.LR}),
    "sine": (ADAMW.format(""), SINE, {Part.GRADIENT}),
    "cut": (ADAMW.format(""), CUT, {Part.GRADIENT}),
    "three at once": (
        ADAMW.format("eps: 1.0e-6, clip_norm: null, lr: 1.1e-2"),
        SINE,
        {Part.GRADIENT, Part.CLIPPING, Part.LR, Part.UPDATE},
    ),
}
CLEAN = {"adamw": ADAMW.format(""), "momentum": MOMENTUM.format("")}
ITERATIONS = 3


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StepReport]:
    folder = tmp_path_factory.mktemp("ports")
    cases = {name: (optimizer, MODEL) for name, optimizer in CLEAN.items()}
    cases |= {name: (optimizer, model) for name, (optimizer, model, _) in FAULTS.items()}
    files = {
        name: write_port(
            folder / name.replace(" ", "_"),
            candidate=model,
            entries={"optimizer": optimizer, "iterations": str(ITERATIONS)},
        )
        for name, (optimizer, model) in cases.items()
    }
    capture_all(list(files.values()), Step.BACKWARD)
    return {name: _report(file) for name, file in files.items()}


def _report(file: Path) -> StepReport:
    assert complaint(file, Step.BACKWARD) is None
    return conclude(load_port(file), Step.BACKWARD, step_folder(file, Step.BACKWARD)).report


@pytest.mark.parametrize("name", CLEAN)
def test_a_right_training_is_blamed_for_nothing(reports: dict[str, StepReport], name: str) -> None:
    report = reports[name]

    assert report.outcome is Outcome.PASS, report.headline
    assert report.blames == ()
    assert not [note for note in report.notes if "state-grafted" in note]


@pytest.mark.parametrize("name", FAULTS)
def test_only_the_links_at_fault_are_blamed(reports: dict[str, StepReport], name: str) -> None:
    report, parts = reports[name], FAULTS[name][2]

    assert report.outcome is Outcome.FAIL
    # torch's first momentum is the gradient itself, so a wrong coefficient shows in the second
    assert {blame.part for blame in report.blames if blame.iteration <= 1} == parts
    assert {blame.part for blame in report.blames} == parts
    assert [blame.iteration for blame in report.blames] == sorted(
        blame.iteration for blame in report.blames
    )


def test_a_blame_names_the_tensor_and_both_values(reports: dict[str, StepReport]) -> None:
    (first, *_) = reports["learning rate"].blames

    assert first.text == (
        "iteration 0: the learning rate is at fault: learning rate of first.weight 0.01 -> 0.011, "
        "and 3 more"
    )


def test_a_link_of_training_is_an_origin_and_a_module_is_named_once(
    reports: dict[str, StepReport],
) -> None:
    kinds = {name: [p.kind for p in reports[name].divergence.places] for name in FAULTS}

    assert kinds["eps"] == kinds["beta1"] == kinds["no clipping"] == [OriginKind.TRAINING]
    assert kinds["sine"] == [OriginKind.GLUE]
    assert kinds["three at once"] == [  # the learning rate by its curve
        OriginKind.DATA,
        OriginKind.GLUE,
        OriginKind.TRAINING,
        OriginKind.TRAINING,
    ]
