"""What of a batch goes to the model, how much of a training is kept, one seed for data code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from portalign.errors import InputError
from portalign.records import ParameterInfo, Role, Step, Structure
from portalign.request import CaptureRequest
from portalign.stages.batches import model_arguments
from portalign.stages.training import kept_iterations

REQUEST = CaptureRequest(
    Role.REFERENCE, Step.FORWARD, "port", "folder", "torch", "paddle", "m:build", {}, "m:batches"
)
BATCH = {"x": np.ones(2), "mask": np.zeros(2), "labels": np.arange(2)}


def test_labels_stay_behind_and_other_fields_keep_their_names() -> None:
    assert sorted(model_arguments(BATCH, REQUEST)) == ["mask", "x"]


def test_one_field_may_feed_two_arguments_and_a_label_may_be_passed() -> None:
    request = replace(REQUEST, inputs={"a": "x", "b": "x", "targets": "labels"})

    passed = model_arguments(BATCH, request)

    assert sorted(passed) == ["a", "b", "mask", "targets"]
    assert passed["a"] is passed["b"] is BATCH["x"]
    assert passed["targets"] is BATCH["labels"]


def test_an_input_that_is_not_there_is_told() -> None:
    with pytest.raises(InputError, match="names y, the batch has x, mask, labels"):
        model_arguments(BATCH, replace(REQUEST, inputs={"a": "y"}))


def structure(n_elements: int) -> Structure:
    weight = ParameterInfo("w", "", "w", "Linear", (n_elements,), "float32")
    return Structure("torch", (), (weight, replace(weight, name="tied", tied_to="w")))


@pytest.mark.parametrize(
    ("n_elements", "iterations", "kept"),
    [
        (16 * 2**20, 10, set(range(10))),  # 64 MiB of weights, ten times: just kept
        (16 * 2**20, 11, {0, 10}),
        (17 * 2**20, 10, {0, 9}),
        (10, 1, {0}),
    ],
)
def test_the_budget_counts_weights_times_iterations_and_ties_once(
    n_elements: int, iterations: int, kept: set[int]
) -> None:
    request = replace(REQUEST, iterations=iterations)

    assert kept_iterations(request, structure(n_elements)) == kept


def test_what_the_port_file_asks_to_keep_is_kept() -> None:
    request = replace(REQUEST, iterations=10, record_iterations=(3,))

    assert kept_iterations(request, structure(2**30)) == {3}


DATA = """
import random
import numpy as np
def batches(settings):
    order = list(range(40))
    random.shuffle(order)
    noise = np.random.rand(4).astype("float32")
    for start in range(0, 40, 20):
        x = np.array(order[start:start + 20], dtype="float32")[:, None].repeat(4, 1) + noise
        yield {"x": x, "labels": (x[:, 0] > 20).astype("int64")}
"""
SIDES = {
    "torch": "import torch\ndef build(settings):\n    torch.manual_seed(0)\n"
    "    return torch.nn.Sequential(torch.nn.Linear(4, 2))\n",
    "paddle": "import paddle\ndef build(settings):\n"
    "    return paddle.nn.Sequential(paddle.nn.Linear(4, 2))\n",
}
PORT = """
name: shuffled
reference: {framework: torch, build: torch_side.py:build, inputs: {input: x}}
candidate: {framework: paddle, build: paddle_side.py:build, inputs: {input: x}}
batches: data.py:batches
metrics: [accuracy]
"""


@pytest.mark.end_to_end
def test_data_code_that_shuffles_sees_one_seed_on_both_sides(tmp_path: Path) -> None:
    from batch import Case, run_all

    (tmp_path / "data.py").write_text(DATA)
    (tmp_path / "port.yaml").write_text(PORT)
    for name, text in SIDES.items():
        (tmp_path / f"{name}_side.py").write_text(text)

    found = run_all({"shuffled": Case(Step.METRIC, port=str(tmp_path))}, tmp_path / "run")

    data = [c for c in found["shuffled"].report.comparisons if c.key.kind.value == "input"]
    assert data
    assert all(c.verdict.value == "identical" for c in data)
