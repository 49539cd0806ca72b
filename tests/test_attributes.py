"""Tensors that a module merely has, neither parameters nor buffers, are compared too."""

from __future__ import annotations

import pytest

from portalign.conclude import conclude
from portalign.config import load_port
from portalign.records import Kind, Step
from portalign.results import Outcome, StepReport
from tiny_ports import capture_all, complaint, step_folder, write_port

pytestmark = pytest.mark.end_to_end

MODEL = """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        # not assigned plainly: paddle would make a buffer of it
        object.__setattr__(self.first, "gain", torch.linspace(0.1, 0.9, 3))
        object.__setattr__(self.first, "again", self.first.weight.detach())

    def forward(self, x):
        object.__setattr__(self.first, "seen", x)
        return {"logits": self.first(x) * self.first.gain}
"""
LOW = ".to(torch.bfloat16).to(torch.float32)"
GAIN = "torch.linspace(0.1, 0.9, 3)"
ROUNDED = MODEL.replace(GAIN, GAIN + LOW)
CASES = {
    "equal": (MODEL, MODEL, "torch"),
    "rounded": (MODEL, ROUNDED, "torch"),
    "equal, paddle": (MODEL, MODEL, "paddle"),
    "rounded, paddle": (MODEL, ROUNDED, "paddle"),
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StepReport]:
    folder = tmp_path_factory.mktemp("attributes")
    ports = {}
    for number, (name, (reference, candidate, framework)) in enumerate(CASES.items()):
        ports[name] = write_port(
            folder / str(number),
            reference=reference,
            candidate=candidate,
            candidate_framework=framework,
        )
    capture_all(list(ports.values()), Step.FORWARD)
    for port in ports.values():
        assert complaint(port, Step.FORWARD) is None
    return {
        name: conclude(load_port(port), Step.FORWARD, step_folder(port, Step.FORWARD)).report
        for name, port in ports.items()
    }


@pytest.mark.parametrize("name", ["equal", "equal, paddle"])
def test_equal_attributes_pass_and_count_as_buffers(
    reports: dict[str, StepReport], name: str
) -> None:
    report = reports[name]

    assert report.outcome is Outcome.PASS
    buffers = [c.label for c in report.comparisons if c.key.kind is Kind.BUFFER]
    assert buffers == ["first.gain"]  # `again` is the weight itself, `seen` came with the batch


@pytest.mark.parametrize("name", ["rounded", "rounded, paddle"])
def test_an_attribute_that_differs_is_named_though_no_weight_does(
    reports: dict[str, StepReport], name: str
) -> None:
    report = reports[name]

    assert report.outcome is Outcome.FAIL
    assert report.divergence.origins[0] == "first.gain"
    (cause, *_) = [one for one in report.findings if "first.gain" in one.where]
    assert "rounded through bfloat16" in cause.claim
    assert "in no state dict" in cause.remedy
