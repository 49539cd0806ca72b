"""A real training loop is recorded, and both sides start from it and eat its batches."""

from __future__ import annotations

import importlib.util
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from batch import PLANTED, Case, Result, run_all
from portalign import frameworks
from portalign.config import load_port
from portalign.errors import CaptureError, InputError, PortFileError
from portalign.recorder import record
from portalign.records import Kind, Role, Step
from portalign.request import CaptureRequest
from portalign.results import Outcome
from portalign.stages.recording import load_initial, recorded_batches
from portalign.store import read_trace

torch = pytest.importorskip("torch", reason="torch is not installed")
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message=".*ccache", category=UserWarning)
    paddle = pytest.importorskip("paddle", reason="paddle is not installed")

pytestmark = [
    pytest.mark.end_to_end,
    # paddle 3.3.1 says so whenever a batch norm trains.
    pytest.mark.filterwarnings("ignore:When training, we now always track global mean"),
]

Trained = dict[str, tuple[Path, list[float]]]  # recording and losses, by framework
HERE = PLANTED.parent / "recorded"
REVERSED = (
    "reference={framework: paddle, build: paddle_side.py:build}",
    "candidate={framework: torch, build: torch_side.py:build}",
)


def _side(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"recorded_{name}", HERE / f"{name}_side.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """Recordings of both frameworks' loops, and the losses of the recorded iterations."""
    folder = tmp_path_factory.mktemp("recordings")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield {n: (folder / n, _side(n).trained(folder / n)) for n in ("torch", "paddle")}


@pytest.fixture(scope="module")
def results(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    def case(recorded: str, *more: str) -> Case:
        overrides = (f"recording={trained[recorded][0]}", *more)
        return Case(Step.BACKWARD, overrides, port="../recorded")

    cases = {
        "torch": case("torch"),
        "paddle": case("paddle", *REVERSED),
        "fresh optimizer": case("torch", "settings={}", "mode=eval"),
    }
    return run_all(cases, tmp_path_factory.mktemp("replays"))


@pytest.mark.parametrize("name", ["torch", "paddle"])
def test_both_sides_go_on_from_a_recorded_training(
    results: dict[str, Result], trained: Trained, name: str
) -> None:
    report = results[name].report
    losses = report.curves["loss"]["reference"]

    assert report.outcome is Outcome.PASS, results[name].text
    # The same framework, weights, statistics, moments and batches: the same bits.
    assert list(losses) == trained[name][1][:4]
    assert {c.key.iteration for c in report.comparisons if c.key.kind is Kind.LOSS} == {0, 1, 2, 3}


def test_a_recording_in_another_mode_is_noted(results: dict[str, Result]) -> None:
    note = "the recorded training ran in train mode, here it runs in eval mode"

    assert note in results["fresh optimizer"].report.notes
    assert note not in results["torch"].report.notes


def _recorded(folder: Path, **more: Any) -> Path:
    """A recording of two batches of a bare layer."""
    with record(folder, torch.nn.Linear(2, 2), **more) as recording:
        for k in range(2):
            recording.batch({"x": torch.full((1, 2), float(k))}, labels=[k])
    return folder


def _request(folder: Path) -> CaptureRequest:
    port = load_port(HERE / "port.yaml", [f"recording={folder}"])
    return port.request(Role.REFERENCE, Step.BACKWARD, folder)


def test_batches_come_back_in_order_and_as_they_were(tmp_path: Path) -> None:
    batches = recorded_batches(_request(_recorded(tmp_path, n_batches=2)))

    assert [sorted(batch) for batch in batches] == [["labels", "x"]] * 2
    assert [batch["x"].tolist() for batch in batches] == [[[0.0, 0.0]], [[1.0, 1.0]]]
    assert [batch["labels"].dtype.kind for batch in batches] == ["i", "i"]


def test_enough_batches_end_the_recording_and_the_loop_goes_on(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    with pytest.raises(RuntimeError), record(tmp_path, model, n_batches=1) as recording:
        recording.batch(x=torch.zeros(1, 2))
        recording.batch(x=torch.ones(1, 2))
        raise RuntimeError("the loop breaks after that")

    assert len(recorded_batches(_request(tmp_path))) == 1


def test_a_batch_is_kept_as_it_was_when_it_was_handed_over(tmp_path: Path) -> None:
    x = torch.zeros(1, 2)
    with record(tmp_path, torch.nn.Linear(2, 2)) as recording:
        recording.batch(x=x)
        x += 1.0

    assert recorded_batches(_request(tmp_path))[0]["x"].tolist() == [[0.0, 0.0]]


def test_recording_again_replaces_the_older_one(tmp_path: Path) -> None:
    _recorded(tmp_path)
    with record(tmp_path, torch.nn.Linear(2, 2)) as recording:
        recording.batch(x=torch.ones(1, 2))

    assert len(recorded_batches(_request(tmp_path))) == 1


def _killed(folder: Path) -> None:
    with (
        pytest.raises(ValueError, match="killed"),
        record(folder, torch.nn.Linear(2, 2)) as recording,
    ):
        recording.batch(x=torch.ones(1, 2))
        raise ValueError("killed")


def _without_state(folder: Path) -> None:
    _recorded(folder)
    (folder / "state" / "manifest.json").unlink()


def _cut_off(folder: Path) -> None:
    _recorded(folder)
    shard = next((folder / "batches").glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-4])


def _of_another_model(folder: Path) -> None:
    _recorded(folder)


def _in_paddle(folder: Path) -> None:
    with record(folder, paddle.nn.Linear(2, 2)) as recording:
        recording.batch(x=paddle.ones([1, 2]))


# name: what is done to a recording, what the run says
BROKEN = {
    "killed": (_killed, "was cut short: batches holds 0 batches and no mark of its end"),
    "no mark": (_without_state, "was cut short: state holds 2 tensors and no mark of its end"),
    "cut off": (_cut_off, "can't be used: the trace in"),
    "another model": (
        _of_another_model,
        "is of another model: 9 of the model's tensors are not",
    ),
    "another framework": (_in_paddle, "was recorded in paddle, the reference runs in torch"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_recording_that_is_not_whole_or_not_the_references_is_refused(
    tmp_path: Path, name: str
) -> None:
    breaks, words = BROKEN[name]
    breaks(tmp_path)
    framework, model = frameworks.load("torch"), _side("torch").build({})

    with pytest.raises(InputError) as refused:
        recorded_batches(_request(tmp_path))
        load_initial(framework, model, framework.structure(model), _request(tmp_path))

    assert words in str(refused.value)
    assert "what to do:" in str(refused.value)


def test_a_port_file_that_names_no_recording_is_refused_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "recording" / "state").mkdir(parents=True)

    with pytest.raises(PortFileError, match="holds no recording: there is no batches/ in it"):
        load_port(HERE / "port.yaml", [f"recording={tmp_path / 'recording'}"])


def test_a_changed_recording_changes_the_ports_fingerprint(tmp_path: Path) -> None:
    def fingerprint() -> str:
        port = load_port(HERE / "port.yaml", [f"recording={tmp_path / 'recording'}"])
        return port.fingerprint(Step.BACKWARD)

    _recorded(tmp_path / "recording")
    first = fingerprint()
    shutil.copytree(tmp_path / "recording", tmp_path / "kept")
    with record(tmp_path / "recording", torch.nn.Linear(2, 2)) as recording:
        recording.batch(x=torch.full((1, 2), 5.0))

    assert fingerprint() != first


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ((torch.zeros(1),), "batch 0 is a tuple"),
        ({}, "batch 0 has no field"),
        ({"names": ["a", "b"]}, "field 'names' of batch 0 is a list"),
        ({"x": object()}, "field 'x' of batch 0 is a object"),
    ],
)
def test_what_is_no_batch_is_refused_when_it_is_handed_over(
    tmp_path: Path, batch: Any, words: str
) -> None:
    recording = record(tmp_path, torch.nn.Linear(2, 2))

    with pytest.raises(InputError, match=words):
        recording.batch(batch)


def test_what_is_no_model_or_no_number_of_batches_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="is no model of torch or paddle"):
        record(tmp_path, object())
    with pytest.raises(InputError, match="n_batches=0"):
        record(tmp_path, torch.nn.Linear(2, 2), n_batches=0)


def test_recording_changes_nothing_in_the_training(tmp_path: Path) -> None:
    side = _side("torch")

    class Nothing:
        def batch(self, **_: Any) -> None:
            pass

    recorded = side.trained(tmp_path)
    torch.manual_seed(7)
    model = side.Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    side._train(model, optimizer, None, 3)

    assert side._train(model, optimizer, Nothing(), 6) == recorded


def test_optimizer_state_is_recorded_under_common_names(
    trained: Trained,
) -> None:
    for folder, _ in trained.values():
        records = read_trace(folder / "state").records
        slots = {r.key.slot for r in records if r.key.kind is Kind.OPTIMIZER_STATE}
        steps = {float(r.array) for r in records if r.key.slot == "beta1_power"}

        assert {"m", "v", "beta1_power", "beta2_power"} <= slots
        assert np.allclose([*steps], 0.9**3, rtol=1e-6)
