"""State-grafted iterations: each link of a training iteration is judged on the reference's own
values, and only the one at fault is blamed.

Each case runs torch against torch and torch against paddle, from one text that both understand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from portalign.conclude import conclude
from portalign.config import load_port
from portalign.findings import FindingKind, OriginKind, Part
from portalign.records import Kind, Step
from portalign.results import Outcome, StepReport
from tiny_ports import DATA, MODEL, capture_all, complaint, mixed, step_folder, write_port

pytestmark = pytest.mark.end_to_end

ITERATIONS = 3
ADAMW = "{{name: adamw, lr: 1.0e-2, weight_decay: 0.01, clip_norm: 0.1, candidate: {{{}}}}}"
MOMENTUM = "{{name: momentum, lr: 1.0e-2, clip_value: 1.0e-3, candidate: {{{}}}}}"
OWN_DATA = "{framework: FRAMEWORK, build: candidate.py:build, batches: own.py:batches}"
SINE = MODEL.replace("torch.tanh", "torch.sin")
# Right values, and a gradient that stops at the last layer.
CUT = MODEL.replace("torch.tanh(self.first(x))", "torch.tanh(self.first(x)).detach()")
LOSS = """
def loss(outputs, batch):
    labels = batch["labels"]
    return FACTOR * nn.functional.cross_entropy(outputs["logits"], labels)
"""
NORMED = MODEL.replace("last = nn", "norm = Norm(4)\n        self.last = nn").replace(
    "self.first(x))", "self.norm(self.first(x)))"
)
# Statistics by hand, for the frameworks' own batch norms keep theirs by two conventions.
NORM = """
class Norm(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.register_buffer("mean", torch.zeros([n]))

    def forward(self, x):
        self.mean[:] = SHARE * x.mean(0).detach() + (1.0 - SHARE) * self.mean
        return x
"""
SKIPS = DATA.replace("_ in range(2)", "_ in range(4)").replace(
    "yield {", "if _ == 1:\n            continue\n        yield {"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What only the candidate has, and the links that are at fault for it.

    Attributes:
        optimizer: entry of the port file.
        texts: of `write_port`, beside the model.
        until: by which iteration each part is blamed.
    """

    parts: set[Part]
    optimizer: str = ADAMW.format("")
    texts: Mapping[str, str] = field(default_factory=dict)
    entries: Mapping[str, str] = field(default_factory=dict)
    until: int = 0


def _loss(factor: str) -> str:
    return MODEL + LOSS.replace("FACTOR", factor)


def _normed(share: str) -> str:
    return NORMED + NORM.replace("SHARE", share)


LOSSES = {"loss": "{reference: 'reference.py:loss', candidate: 'candidate.py:loss'}"}
IGNORED = {"loss": "{name: cross_entropy, ignore_index: 1, candidate: {ignore_index: -100}}"}
FAULTS = {
    "other batches": Fault(
        {Part.DATA},
        entries={"candidate": OWN_DATA},
        until=1,
    ),
    "loss twice": Fault(
        {Part.LOSS}, texts={"reference": _loss("1"), "candidate": _loss("2")}, entries=LOSSES
    ),
    "accumulation undivided": Fault(
        {Part.LOSS},
        texts={"reference": _loss("1"), "candidate": _loss("2")},
        entries={**LOSSES, "accumulate": "2"},
    ),
    "summed": Fault(
        {Part.LOSS}, entries={"loss": "{name: cross_entropy, candidate: {reduction: sum}}"}
    ),
    "ignored counted": Fault({Part.LOSS}, entries={**IGNORED, "accumulate": "2"}),
    "sine": Fault({Part.GRADIENT}, texts={"candidate": SINE}),
    "cut": Fault({Part.GRADIENT}, texts={"candidate": CUT}),
    "no clipping": Fault({Part.CLIPPING}, ADAMW.format("clip_norm: null")),
    "clipped by another value": Fault({Part.CLIPPING}, MOMENTUM.format("clip_value: 2.0e-3")),
    "learning rate": Fault({Part.LR}, ADAMW.format("lr: 1.1e-2")),
    "learning rates of two layers": Fault(
        {Part.LR},
        "{name: adamw, lr: 1.0e-2, lr_scale: {first: 0.5, last: 0.1}, "
        "candidate: {lr_scale: {first: 0.5, last.weight: 0.4, last.bias: 0.2}}}",
    ),
    "beta1": Fault({Part.OPTIMIZER_STATE}, ADAMW.format("beta1: 0.8")),
    "coupled decay": Fault({Part.OPTIMIZER_STATE}, MOMENTUM.format("weight_decay: 0.01")),
    # The first momentum is the gradient itself.
    "another momentum": Fault({Part.OPTIMIZER_STATE}, MOMENTUM.format("momentum: 0.8"), until=1),
    "eps": Fault({Part.UPDATE}, ADAMW.format("eps: 1.0e-6")),
    "decoupled decay": Fault({Part.UPDATE}, ADAMW.format("weight_decay: 0.0")),
    "nesterov": Fault({Part.UPDATE}, MOMENTUM.format("nesterov: true")),
    "share of the statistics": Fault(
        {Part.BUFFERS}, texts={"reference": _normed("0.1"), "candidate": _normed("0.9")}
    ),
    "four at once": Fault(
        {Part.GRADIENT, Part.CLIPPING, Part.LR, Part.UPDATE},
        ADAMW.format("eps: 1.0e-6, clip_norm: null, lr: 1.1e-2"),
        texts={"candidate": SINE},
    ),
}
CLEAN = {
    "adamw": Fault(set()),
    "momentum": Fault(set(), MOMENTUM.format("")),
    "own batches": Fault(set(), entries={**FAULTS["other batches"].entries}, texts={"own": DATA}),
    "own loss": Fault(
        set(), texts={"reference": _loss("1"), "candidate": _loss("1")}, entries=LOSSES
    ),
    "accumulated": Fault(set(), entries={"accumulate": "2"}),
    "statistics": Fault(set(), texts={"reference": _normed("0.1")}),
    "native": Fault(set(), entries={"twin": "off"}),
    "no layer at the optimizer's own rate": Fault(
        set(), "{name: adamw, lr: 1.0e-2, lr_scale: {first: 0.5, last: 0.1}}"
    ),
}
# One iteration, in which the losses are equal whatever the gradients are.
ONE = {"iterations": "1"}
ALONE = {
    "losses alone": Fault(set(), entries={"record": "losses"}),
    "cut, losses alone": Fault(
        set(), texts={"candidate": CUT}, entries={**ONE, "record": "losses"}
    ),
    "cut, in one iteration": Fault({Part.GRADIENT}, texts={"candidate": CUT}, entries=ONE),
}
SIDES = ("torch", "paddle")  # of the candidate


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], StepReport]:
    folder = tmp_path_factory.mktemp("ports")
    files = {
        (name, framework): _write(folder / framework / name.replace(" ", "_"), case, framework)
        for name, case in {**CLEAN, **FAULTS, **ALONE}.items()
        for framework in SIDES
    }
    capture_all(list(files.values()), Step.BACKWARD)
    return {name: _report(file) for name, file in files.items()}


def _write(folder: Path, case: Fault, framework: str) -> Path:
    texts = dict(case.texts)
    own = texts.pop("own", SKIPS)
    entries = {key: text.replace("FRAMEWORK", framework) for key, text in case.entries.items()}
    entries = {"optimizer": case.optimizer, "iterations": str(ITERATIONS), **entries}
    file = write_port(folder, **texts, entries=entries)
    (folder / "own.py").write_text(own)
    return mixed(file) if framework == "paddle" else file


def _report(file: Path) -> StepReport:
    assert complaint(file, Step.BACKWARD) is None
    return conclude(load_port(file), Step.BACKWARD, step_folder(file, Step.BACKWARD)).report


@pytest.mark.parametrize("framework", SIDES)
@pytest.mark.parametrize("name", CLEAN)
def test_a_right_training_is_blamed_for_nothing(
    reports: dict[tuple[str, str], StepReport], name: str, framework: str
) -> None:
    report = reports[name, framework]

    assert report.outcome is Outcome.PASS, report.headline
    assert report.blames == ()
    assert not [note for note in report.notes if "state-grafted" in note]


@pytest.mark.parametrize("framework", SIDES)
@pytest.mark.parametrize("name", FAULTS)
def test_only_the_links_at_fault_are_blamed(
    reports: dict[tuple[str, str], StepReport], name: str, framework: str
) -> None:
    report, fault = reports[name, framework], FAULTS[name]

    assert report.outcome is Outcome.FAIL
    assert {blame.part for blame in report.blames} == fault.parts
    assert {b.part for b in report.blames if b.iteration <= fault.until} == fault.parts
    assert [blame.iteration for blame in report.blames] == sorted(
        blame.iteration for blame in report.blames
    )


@pytest.mark.parametrize("framework", SIDES)
@pytest.mark.parametrize("name", ["losses alone", "cut, losses alone"])
def test_a_loss_curve_alone_proves_nothing(
    reports: dict[tuple[str, str], StepReport], name: str, framework: str
) -> None:
    report = reports[name, framework]

    assert report.outcome is Outcome.INCONCLUSIVE
    assert [one.rule for one in report.reservations] == ["loss-only"]
    assert "a loss curve alone doesn't show a wrong activation" in report.headline
    assert {c.key.kind for c in report.comparisons} == {Kind.PARAMETER, Kind.LOSS, Kind.LR}


@pytest.mark.parametrize("framework", SIDES)
def test_a_gradient_that_differs_fails_though_the_losses_agree(
    reports: dict[tuple[str, str], StepReport], framework: str
) -> None:
    report = reports["cut, in one iteration", framework]
    losses = [c for c in report.comparisons if c.key.kind is Kind.LOSS]

    assert [c.outcome for c in losses] == [Outcome.PASS]
    assert report.outcome is Outcome.FAIL
    assert [blame.part for blame in report.blames] == [Part.GRADIENT]
    assert "backward" in report.divergence.origins[0]


def test_a_blame_names_the_tensor_and_both_values(
    reports: dict[tuple[str, str], StepReport],
) -> None:
    (first, *_) = reports["learning rate", "paddle"].blames

    assert first.text == (
        "iteration 0: the learning rate is at fault: learning rate of first.weight 0.01 -> 0.011, "
        "and 3 more"
    )


@pytest.mark.parametrize("framework", SIDES)
def test_a_loss_that_divides_by_another_number_is_told_by_it(
    reports: dict[tuple[str, str], StepReport], framework: str
) -> None:
    start = "iteration 0: the loss is at fault: denominator of the loss"

    summed, ignored = (
        reports[name, framework].blames[0].text for name in ("summed", "ignored counted")
    )

    assert summed.startswith(f"{start} 4 -> 1, and ")
    assert ignored.startswith(f"{start} 2 -> 4, and ")  # of four labels two are ignored


def test_what_a_porters_own_loss_divides_by_is_said_to_be_unknown(
    reports: dict[tuple[str, str], StepReport],
) -> None:
    notes = [
        [note for note in reports[name, "paddle"].notes if "what it divides by" in note]
        for name in ("own loss", "adamw")
    ]

    assert [note.partition("'s loss")[0] for note in notes[0]] == ["the reference", "the candidate"]
    assert notes[1] == []


@pytest.mark.parametrize("framework", SIDES)
def test_learning_rates_of_groups_are_explained_each_by_itself(
    reports: dict[tuple[str, str], StepReport], framework: str
) -> None:
    report = reports["learning rates of two layers", framework]
    claims = [finding.claim for finding in report.findings if finding.rule == "lr-scale"]

    starts = [claim.partition(",")[0] for claim in claims]  # then both rates
    assert starts == [
        f"for last.{slot}: every learning rate of the candidate is {factor} times the reference's"
        for slot, factor in (("weight", 4), ("bias", 2))
    ]


CAUSES = {
    "no clipping": ["the reference clips all gradients together to a norm of 0.1"],
    "clipped by another value": [
        "the reference clips each element to 0.001; the candidate too, but "
    ],
    "beta1": ["beta1 0.9 against 0.8"],
    "coupled decay": ["coupled weight decay (L2) 0 against 0.01"],
    "another momentum": ["momentum 0.9 against 0.8"],
    "eps": ["eps 1e-08 against 1e-06"],
    "decoupled decay": ["weight_decay 0.01 against 0"],
    "nesterov": ["the candidate has Nesterov's momentum, the reference hasn't"],
    "other batches": [],
}


@pytest.mark.parametrize("framework", SIDES)
@pytest.mark.parametrize("name", CAUSES)
def test_the_argument_at_fault_is_named_with_both_values(
    reports: dict[tuple[str, str], StepReport], name: str, framework: str
) -> None:
    causes = [f for f in reports[name, framework].findings if f.kind is FindingKind.CAUSE]

    assert [f.claim[: len(says)] for f, says in zip(causes, CAUSES[name], strict=True)] == (
        CAUSES[name]
    )
    assert all(f.after < 1e-9 < f.before for f in causes)


def test_a_link_of_training_is_an_origin_and_a_module_is_named_once(
    reports: dict[tuple[str, str], StepReport],
) -> None:
    kinds = {
        name: [place.kind for place in reports[name, "torch"].divergence.places] for name in FAULTS
    }

    assert kinds["eps"] == kinds["beta1"] == kinds["no clipping"] == [OriginKind.TRAINING]
    assert kinds["sine"] == [OriginKind.GLUE]
    assert kinds["four at once"] == [  # the learning rate by its curve
        OriginKind.DATA,
        OriginKind.GLUE,
        OriginKind.TRAINING,
        OriginKind.TRAINING,
    ]


def test_an_accumulated_iteration_takes_as_many_batches(
    reports: dict[tuple[str, str], StepReport],
) -> None:
    # The data has two batches: every iteration takes both, so the losses are one full batch's.
    report = reports["accumulated", "torch"]
    calls = {c.key.call for c in report.comparisons if c.key.kind is Kind.ACTIVATION}

    assert calls == {0, 1}
    assert len([c for c in report.comparisons if c.key.kind is Kind.LOSS]) == ITERATIONS
