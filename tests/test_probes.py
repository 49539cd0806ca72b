"""What the given inputs can't decide is tried on inputs that portalign makes, and never fails a
step."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from portalign.conclude import conclude
from portalign.config import load_port
from portalign.records import Role, Step
from portalign.report.aggregate import Recorded, summarise
from portalign.report.document import closing_lines, step_document
from portalign.report.explained import probe_lines
from portalign.report.markdown import markdown
from portalign.report.page import page_data
from portalign.report.spoken import spoken
from portalign.report.text import render
from portalign.report.words import language
from portalign.results import Outcome, StepReport
from portalign.store.layout import MANIFEST, PROBE
from tiny_ports import capture_all, complaint, step_folder, write_port

pytestmark = pytest.mark.end_to_end

# Nine places and no padding; a window of 12, and a mask of several parts made before the layers.
DATA = """
import numpy as np

def batches(settings):
    random = np.random.default_rng(0)
    ids = random.integers(0, 20, (3, 9))
    yield {"input_ids": ids, "attention_mask": np.ones_like(ids), "labels": ids}
"""
MODEL = """
class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(8, 8) for _ in range(4))

    def forward(self, x, mask):
        scores = self.query(x) @ self.key(x).transpose(-1, -2) / 8**0.5 + mask
        return self.out(torch.softmax(scores, dim=-1) @ self.value(x))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.window = 12
        self.embed = nn.Embedding(20, 8)
        self.position = nn.Embedding(24, 8)
        self.attention = nn.ModuleList(Attention() for _ in range(2))
        self.head = nn.Linear(8, 20)

    def forward(self, input_ids, attention_mask):
        places = torch.arange(input_ids.shape[1])
        back = places[:, None] - places[None, :]
        hidden = (back < 0) | (back >= self.window)
        hidden = hidden[None] | (attention_mask == 0)[:, None, :]
        mask = torch.where(hidden, LOWEST, 0.0).to(self.head.weight.dtype)
        x = self.embed(input_ids) + self.position(places)
        for attention in self.attention:
            x = x + attention(x, mask)
        return {"logits": self.head(x)}
"""


# The same with the mask made within the attention, where no tensor shows it.
INNER = (
    MODEL.replace(
        "    def forward(self, x, mask):\n",
        "    def forward(self, x, mask):\n"
        "        places = torch.arange(x.shape[1])\n"
        "        back = places[:, None] - places[None, :]\n"
        "        hidden = (back < 0) | (back >= 12) | (mask == 0)[:, None, :]\n"
        "        mask = torch.where(hidden, LOWEST, 0.0).to(x.dtype)\n",
    )
    .replace("        hidden = hidden[None] | (attention_mask == 0)[:, None, :]\n", "")
    .replace("        mask = torch.where(hidden, LOWEST, 0.0).to(self.head.weight.dtype)\n", "")
    .replace("attention(x, mask)", "attention(x, attention_mask)")
)


def _model(text: str = MODEL, *, lowest: str = "-1e30") -> str:
    return text.replace("LOWEST", lowest)


HIDDEN = "hidden[None] | (attention_mask == 0)[:, None, :]"
RAISES = "        if not attention_mask.all(): raise KeyError('no padding here')\n"
FORWARD = "attention_mask):\n"
RIGHT = _model()
CANDIDATES = {
    "right": RIGHT,
    "constant": _model(lowest="-1e4"),
    "no window": RIGHT.replace(" | (back >= self.window)", ""),
    "no padding": RIGHT.replace(HIDDEN, "hidden[None].expand(len(input_ids), -1, -1)"),
    "raises": RIGHT.replace(FORWARD, FORWARD + RAISES),
    "wrong": RIGHT.replace("8**0.5", "4"),
}
WITHIN = {
    "within, no window": _model(INNER.replace(" | (back >= 12)", "")),
    "within, constant": _model(INNER, lowest="-1e4"),
}
# reference and candidate alike, which the probe can't be tried on, or not all of it
BOTH = {
    "both raise": RIGHT.replace(FORWARD, FORWARD + RAISES),
    "few positions": RIGHT.replace("nn.Embedding(24", "nn.Embedding(12"),
    "few places": RIGHT.replace("nn.Embedding(24", "nn.Embedding(12").replace(".position", ".at"),
    "nan": _model(lowest="-float('inf')"),
}
SETTINGS = {
    "off": {"probe": "off"},
    "by segments": {"twin": "segments"},
    "without twins": {"twin": "off"},
    "right without twins": {"twin": "off"},
}
SET = {name: CANDIDATES["right" if "right" in name else "constant"] for name in SETTINGS}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("probes")
    files = {
        name: write_port(
            folder / name.replace(" ", "_"),
            reference=text if name in BOTH else _model(INNER) if name in WITHIN else RIGHT,
            candidate=text,
            data=DATA,
            entries=SETTINGS.get(name),
        )
        for name, text in {**CANDIDATES, **WITHIN, **BOTH, **SET}.items()
    }
    capture_all(list(files.values()), Step.FORWARD)
    return files


@pytest.fixture(scope="module")
def reports(files: dict[str, Path]) -> dict[str, StepReport]:
    return {name: _report(file) for name, file in files.items()}


def _report(file: Path) -> StepReport:
    assert complaint(file, Step.FORWARD) is None
    return conclude(load_port(file), Step.FORWARD, step_folder(file, Step.FORWARD)).report


def _told(report: StepReport) -> list[str]:
    return [note for note in report.notes if "LayerNorm" not in note]


def test_a_faithful_port_is_told_to_agree_where_its_inputs_decide_nothing(
    reports: dict[str, StepReport],
) -> None:
    report = reports["right"]

    assert (report.outcome, report.probe) == (Outcome.PASS, None)
    assert _told(report) == [
        "also compared, where the given inputs can't decide: 2 x 24 places, left and right "
        "padding: they agree"
    ]
    assert "own inputs" not in report.headline


@pytest.mark.parametrize(
    ("name", "rule", "claim", "where", "wanted"),
    [
        (
            "constant",
            "mask-changed",
            "the mask adds -1e+04 to what it hides, the reference -1e+30: it shows in the",
            "It shows in the row padded on the left",
            "rows padded on the left",
        ),
        (
            "no window",
            "mask-part",
            "what lies 12 places back or more (a window of 12 places)",
            "It shows in the row padded on the left and the row padded on the right",
            "sequences of 24 places (yours have 9)",
        ),
        (
            "no padding",
            "mask-part",
            "the mask doesn't hide what (root) in.attention_mask hides",
            "It shows in the row padded on the left",
            "rows padded on the left",
        ),
        (
            "within, constant",
            "attention-blind",
            "sees its keys by their scores (the mask adds a value like -1e4), in the reference all",
            "It shows in the row padded on the left, at places that the mask hides only.",
            "rows padded on the left",
        ),
        (
            "within, no window",
            "attention-window",
            "the attention sees all places, in the reference a window of 12 places",
            "It shows in the row padded on the left and the row padded on the right",
            "sequences of 24 places (yours have 9)",
        ),
    ],
    ids=["constant", "window", "padding", "constant within", "window within"],
)
def test_what_only_other_inputs_show_is_named_beside_a_verdict_that_stands(
    reports: dict[str, StepReport], name: str, rule: str, claim: str, where: str, wanted: str
) -> None:
    report = reports[name]

    assert report.outcome is Outcome.PASS
    assert report.findings == ()
    assert report.probe is not None
    assert [one.rule for one in report.probe.findings] == [rule]
    assert claim in report.probe.findings[0].claim
    assert report.probe.findings[0].is_confirmed
    assert where in report.probe.text
    assert wanted in report.probe.text
    assert "output logits" in report.probe.outputs


def test_a_difference_of_padding_alone_is_told_from_one_at_shown_places(
    reports: dict[str, StepReport],
) -> None:
    found = {name: reports[name].probe for name in ("constant", "no window", "no padding")}

    is_hidden_only = {name: probe.is_hidden_only for name, probe in found.items() if probe}
    assert is_hidden_only == {"constant": True, "no window": False, "no padding": False}
    assert "at places that the mask hides" in reports["constant"].headline


def test_every_report_tells_what_a_probe_found(reports: dict[str, StepReport]) -> None:
    report = reports["no window"]
    assert report.probe is not None
    printed = io.StringIO()

    render(step_document(report), Console(file=printed, width=150))

    assert report.headline.endswith(
        "; but on portalign's own inputs (2 x 24 places, left and right padding) they differ"
    )
    assert printed.getvalue().splitlines()[2].startswith("probe: On inputs that portalign made")
    assert "cause (mask-part)" in printed.getvalue()
    assert any(line.startswith("probe: ") for line in closing_lines(report))
    assert any("what to do: hide what lies 12" in line for line in probe_lines(report.probe))
    run = summarise(Recorded("tiny", {Step.FORWARD: report}, {}))
    tables = markdown(run, {Step.FORWARD: report})
    assert "**On portalign's own inputs**\n\n- On inputs that portalign made" in tables
    (page, *_) = page_data(run, {Step.FORWARD: report}, samples={})["steps"]
    assert page["probe"]["text"] == report.probe.text
    assert [one["rule"] for one in page["probe"]["findings"]] == ["mask-part"]


@pytest.mark.parametrize("name", ["right", "constant", "no window", "both raise", "few places"])
def test_what_a_probe_found_is_told_in_chinese(reports: dict[str, StepReport], name: str) -> None:
    report, say = reports[name], language("zh")

    document = spoken(step_document(report), say)

    told = [document.headline, *document.probed[:1], *document.remarks]
    assert not [line for line in told if re.search(r"own inputs|compared|\(2 x", line)]
    assert all(say(line) != line for line in _told(report))


def test_a_model_that_raises_on_a_probe_is_told_of_and_keeps_its_verdict(
    reports: dict[str, StepReport],
) -> None:
    for name, side in (("raises", "candidate"), ("both raise", "reference")):
        report = reports[name]

        assert (report.outcome, report.probe) == (Outcome.PASS, None)
        first, second, *_ = _told(report)
        assert f"the {side} failed on them with" in first
        assert "no padding here" in first
        assert "attention_mask hides no place" in second


def test_a_length_that_the_reference_refuses_is_left_and_the_padding_tried(
    reports: dict[str, StepReport],
) -> None:
    refused, *told = _told(reports["few places"])
    compared, window = told

    assert refused == ("a probe of 2 x 24 places, left and right padding made the reference raise")
    assert "2 x 9 places, left and right padding: they agree" in compared
    assert window.startswith("window is 12, and the longest sequence has 9 places")
    assert _told(reports["few positions"]) == told  # its table says how far it goes


def test_rows_without_a_measure_are_left_out_and_named(reports: dict[str, StepReport]) -> None:
    nan, compared = _told(reports["nan"])

    assert "the reference gives NaN in the row padded on the left" in nan
    assert compared.endswith("they agree")
    assert reports["nan"].outcome is Outcome.PASS


def test_a_step_that_fails_says_nothing_of_its_probe(reports: dict[str, StepReport]) -> None:
    report = reports["wrong"]

    assert (report.outcome, report.probe) == (Outcome.FAIL, None)
    assert not [note for note in report.notes if "also compared" in note]


@pytest.mark.parametrize("name", ["by segments", "without twins"])
def test_a_probe_runs_natively_where_there_is_no_whole_twin(
    reports: dict[str, StepReport], name: str
) -> None:
    report = reports[name]

    assert report.outcome is Outcome.PASS
    assert report.probe is not None
    assert [one.rule for one in report.probe.findings] == ["mask-changed"]
    assert "they agree" in " ".join(_told(reports["right without twins"]))


def test_without_a_probe_the_report_says_which_input_would_decide(
    reports: dict[str, StepReport],
) -> None:
    report = reports["off"]

    assert (report.outcome, report.probe) == (Outcome.PASS, None)
    masked, window = _told(report)
    assert masked.startswith("attention_mask hides no place")
    assert window.startswith("window is 12, and the longest sequence has 9 places")


def test_a_probe_that_lost_its_trace_or_was_never_made_breaks_nothing(
    files: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "forward"
    shutil.copytree(step_folder(files["constant"], Step.FORWARD), folder)
    (folder / PROBE / Role.CANDIDATE.value / MANIFEST).unlink()
    port = load_port(files["constant"])

    damaged = conclude(port, Step.FORWARD, folder).report
    shutil.rmtree(folder / PROBE)
    missing = conclude(port, Step.FORWARD, folder).report

    assert (damaged.outcome, damaged.probe) == (Outcome.PASS, None)
    assert "the probe can't be read" in _told(damaged)[0]
    assert (missing.outcome, missing.probe) == (Outcome.PASS, None)
    assert _told(missing)[0].startswith("attention_mask hides no place")
