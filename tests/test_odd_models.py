"""Models and outputs off the beaten track: compared in full, or the step says why they can't be.

All of them run as both sides of a port, in one child process per step.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from portalign.conclude import conclude
from portalign.config import load_port
from portalign.records import Step
from tiny_ports import DATA, MODEL, capture_all, complaint, step_folder, write_port

pytestmark = pytest.mark.end_to_end

LOGITS = "self.last(torch.tanh(self.first(x)))"


def model(body: str, *, parts: str = "pass", arguments: str = "x", before: str = "") -> str:
    """Source of a small model; `h` holds its logits [batch, 2] unless the body starts with ">"."""
    is_own = body.startswith(">")
    lines = [] if is_own else [f"h = {LOGITS}"]
    lines += [line.strip() for line in body.lstrip(">").split(";")]
    return f"""{before}
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.last = nn.Linear(4, 2)
        {parts}

    def forward(self, {arguments}):
        {(chr(10) + " " * 8).join(lines)}
"""


TIED = """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.last = nn.Linear(3, 2)

    def forward(self, x):
        return {"logits": self.last(torch.tanh(self.second(self.first(x))))}
"""
DATACLASS = """
import dataclasses

@dataclasses.dataclass
class Out:
    logits: object
    extra: object = None
"""
ONE_ROW = DATA.replace("(4, 3)", "(1, 3)").replace("size=4", "size=1")
NO_STATE = "class Model(nn.Module):\n    def forward(self, x):\n        return {'logits': 2 * x}\n"
INF = "return {'logits': h, 'far': h.masked_fill(h > 0, float('-inf'))}"

ALIGNED: dict[str, dict[str, Any]] = {
    "tied weights": {"reference": TIED},
    "input changed in place": {
        "reference": model(f">x.add_(torch.ones_like(x)); return {{'logits': {LOGITS}}}")
    },
    "activation in place": {
        "reference": model(
            ">h = nn.functional.relu_(self.first(x)); return {'logits': self.last(h)}"
        )
    },
    "a module called twice": {
        "reference": model(
            ">h = self.mid(self.mid(self.first(x))); return {'logits': self.last(h)}",
            parts="self.mid = nn.Linear(4, 4)",
        )
    },
    "dict, tuple, list and None": {
        "reference": model("return {'logits': h, 'pair': (h * 2, None, [h * 3]), 'no': None}")
    },
    "a tuple with None": {"reference": model("return h, None, h * 2")},
    "integers and bools": {
        "reference": model("return {'logits': h, 'best': h.argmax(1), 'mask': h > 0}")
    },
    "a batch of one": {"reference": model("return {'logits': h}"), "data": ONE_ROW},
    "a dict against a tuple": {
        "reference": model("return {'logits': h}"),
        "candidate": model("return (h,)"),
    },
    "bfloat16": {
        "reference": model(
            f">x = x.to(self.first.weight.dtype); return {{'logits': {LOGITS}}}",
            parts="self.to(torch.bfloat16)",
        )
    },
    "views": {"reference": model("return {'logits': h, 'e': h[:1].expand(5, 2), 't': h.T}")},
    "one tensor under two names": {"reference": model("return {'logits': h, 'again': h, 'x': x}")},
    "a dataclass": {"reference": model("return Out(h)", before=DATACLASS)},
    "unused parameters": {
        "reference": model("return {'logits': h}", parts="self.spare = nn.Linear(2, 2)")
    },
    "frozen parameters": {
        "reference": model("return {'logits': h}", parts="self.first.requires_grad_(False)")
    },
    "equal infinities": {"reference": model(INF)},
    "complex numbers": {"reference": model("return {'logits': h, 'f': torch.fft.fft(h)}")},
    "names of all kinds": {"reference": model("return {'logits': h, 'a b/c': 2 * h, 5: 4 * h}")},
    "any keyword": {
        "reference": model(f">x = kw['x']; return {{'logits': {LOGITS}}}", arguments="**kw")
    },
}
FORWARD_ONLY: dict[str, tuple[int, dict[str, Any], str]] = {
    "a 0-d tensor": (0, {"reference": model("return h.sum()")}, "agree"),
    "integers only": (0, {"reference": model("return h.argmax(1)")}, "agree"),
    "NaN in the candidate": (
        1,
        {"candidate": model("return {'logits': h * float('nan')}")},
        "last",
    ),
    "NaN in the reference": (
        2,
        {"reference": model("return {'logits': h * float('nan')}"), "candidate": MODEL},
        "The reference itself holds NaN",
    ),
    "NaN on both sides": (
        2,
        {"reference": model("return {'logits': h * float('nan')}")},
        "The reference itself holds NaN",
    ),
    "an infinity on one side": (
        1,
        {"reference": model(INF), "candidate": model(INF.replace("-inf", "inf"))},
        "pairs differ",
    ),
    "an empty tensor": (2, {"reference": model("return {'logits': h, 'r': h[:0]}")}, "empty"),
    "one missing output": (
        2,
        {"reference": model("return {'logits': h, 'hidden': h * 2}"), "candidate": MODEL},
        "reference output hidden: the other side returns no such output",
    ),
    "one missing promised output": (
        2,
        {
            "reference": model("return {'logits': h, 'hidden': h * 2}"),
            "candidate": MODEL,
            "entries": {"outputs": "[logits, hidden]"},
        },
        "the model returned logits; missing: hidden",
    ),
    "outputs of different names": (
        2,
        {"candidate": model("return {'scores': h}")},
        "candidate output scores: the other side returns no such output",
    ),
    "an output that can't be recorded": (
        2,
        {"reference": model("return {'logits': h, 's': h.to_sparse()}")},
        "output s: the reference could not record it",
    ),
    "no tensor at all": (2, {"reference": model("return 'hello'")}, "returned no tensor"),
    "no parameters": (2, {"reference": NO_STATE}, "nothing was compared of: parameter"),
    "another shape": (1, {"candidate": model("return {'logits': h[:, :1]}")}, "pairs differ"),
    "a transposed output": (1, {"candidate": model("return {'logits': h.T}")}, "pairs differ"),
    "a bool against a float": (
        1,
        {
            "reference": model("return {'logits': h, 'm': h > 0}"),
            "candidate": model("return {'logits': h, 'm': (h > 0).float()}"),
        },
        "pairs differ",
    ),
    "an activation left out": (
        1,
        {"candidate": model(">return {'logits': self.last(self.first(x))}")},
        "last",
    ),
    "a module left out": (
        2,
        {
            "reference": model(
                ">return {'logits': self.last(self.mid(self.first(x)))}",
                parts="self.mid = nn.Linear(4, 4)",
            ),
            "candidate": MODEL,
        },
        "no place in the candidate: mid.weight [4, 4]",
    ),
    "a parameter too many": (
        2,
        {
            "candidate": model(
                "return {'logits': h * self.scale}",
                parts="self.scale = nn.Parameter(torch.ones(2))",
            )
        },
        "filled by nothing: scale [2]",
    ),
    "a parameter too many in a module": (
        2,
        {
            "reference": model("return {'logits': h}", parts="self.last.bias = None"),
            "candidate": MODEL,
        },
        "filled by nothing: last.bias [2]",
    ),
}


# What paddle 3.3.1 names otherwise, or can't compute on a CPU.
TORCH_ONLY = {"bfloat16", "frozen parameters", "equal infinities", "an infinity on one side"}


@pytest.fixture(scope="module")
def forward(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Port files of all cases, captured forward."""
    return _captured(
        tmp_path_factory.mktemp("forward"),
        {**ALIGNED, **{name: case for name, (_, case, _) in FORWARD_ONLY.items()}},
        Step.FORWARD,
    )


@pytest.fixture(scope="module")
def backward(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Port files of the cases that train, captured backward."""
    return _captured(tmp_path_factory.mktemp("backward"), ALIGNED, Step.BACKWARD)


@pytest.mark.parametrize("name", ALIGNED)
def test_odd_model_is_compared_in_full_forward(forward: dict[str, Path], name: str) -> None:
    code, text = _concluded(forward[name], Step.FORWARD)

    assert code == 0, text
    assert "agree" in text


@pytest.mark.parametrize("name", ALIGNED)
def test_odd_model_is_compared_in_full_through_training(
    backward: dict[str, Path], name: str
) -> None:
    code, text = _concluded(backward[name], Step.BACKWARD)

    assert code == 0, text
    assert "agree" in text


@pytest.mark.parametrize("name", FORWARD_ONLY)
def test_odd_output_ends_as_it_should(forward: dict[str, Path], name: str) -> None:
    expected, _, words = FORWARD_ONLY[name]

    code, text = _concluded(forward[name], Step.FORWARD)

    assert code == expected, text
    assert words in text


@pytest.mark.skipif(not find_spec("paddle"), reason="both sides need paddle")
@pytest.mark.parametrize("step", [Step.FORWARD, Step.BACKWARD])
def test_odd_models_are_compared_in_full_in_paddle(tmp_path: Path, step: Step) -> None:
    expected = {name: (0, case) for name, case in ALIGNED.items()}
    if step is Step.FORWARD:
        expected |= {name: (code, case) for name, (code, case, _) in FORWARD_ONLY.items()}
    for name in TORCH_ONLY & expected.keys():
        del expected[name]
    cases = {name: {**case, "framework": "paddle"} for name, (_, case) in expected.items()}

    files = _captured(tmp_path, cases, step)

    ended = {name: _concluded(file, step) for name, file in files.items()}
    codes = {name: code for name, (code, _) in ended.items()}
    assert codes == {name: code for name, (code, _) in expected.items()}, ended


def _captured(folder: Path, cases: dict[str, dict[str, Any]], step: Step) -> dict[str, Path]:
    files = {name: write_port(folder / name, **case) for name, case in cases.items()}
    capture_all(list(files.values()), step)
    return files


def _concluded(file: Path, step: Step) -> tuple[int, str]:
    """Exit code and all that is said, in one line."""
    error = complaint(file, step)
    if error is not None:
        assert error.why
        assert error.do
        return 2, " ".join(str(error).split())
    report = conclude(load_port(file), step, step_folder(file, step)).report
    said = [report.headline, *(reservation.text for reservation in report.reservations)]
    said += [f"{u.role} {u.key}: {u.reason}" for u in report.unpaired]
    return report.outcome.exit_code, " ".join(" ".join(said).split())
