"""Where reprod_log's verdict can't be trusted, and what portalign says to the same arrays.

The first half of each test is reprod_log 1.0.1 itself, run once in a process of its own; the second
is portalign. Together they are the reason why the log ends with a verdict of ours.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from portalign.compare.pairs import compare
from portalign.errors import InputError
from portalign.foreign import read_arrays
from portalign.records import Kind, Role, TensorKey
from portalign.report.reprod import ExchangeResult, write_exchange
from portalign.results import Comparison, Outcome
from portalign.store import TraceWriter, read_trace
from sample_reports import side

pytestmark = pytest.mark.framework  # reprod_log imports paddle, in a child process

CHILD = Path(__file__).parent / "reprod_log_child.py"
NAN, INF = float("nan"), float("inf")
ONES = np.ones((4, 5), "f4")


def _off_by(value: float, *, at: int, size: int) -> Any:
    array = np.zeros(size, "f4")
    array[at] = value
    return array


# name: reference, candidate
PAIRS: dict[str, tuple[Any, Any]] = {
    "nan in the candidate": (np.zeros(3), np.array([0.0, NAN, 9.0])),
    "nan in the reference": (np.array([0.0, NAN, 9.0]), np.zeros(3)),
    "nan on both": (np.array([NAN, 1.0]), np.array([NAN, 5.0])),
    "infinities hide the rest": (np.array([INF, 1.0]), np.array([INF, 5.0])),
    "column for row": (np.linspace(0.1, 0.01, 90), np.linspace(0.1, 0.01, 90)[:, None]),
    "broadcast": (ONES, np.ones(5, "f4")),
    "transposed": (np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(2, 3).T),
    "one in a million": (np.zeros(10**6, "f4"), _off_by(0.5, at=7, size=10**6)),
    "small learning rate": (np.array([1e-6]), np.array([5e-7])),
    "unsigned": (np.array([3], "u1"), np.array([5], "u1")),
    "bool": (np.array([True]), np.array([False])),
    "text": (np.array(["a"]), np.array(["b"])),
    "empty": (np.zeros((0, 3)), np.zeros((0, 3))),
    "equal": (ONES, ONES),
}


class _Hostile:
    """Pickles into an order to write a marker file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.write_text, (self.marker, "run")


@dataclass(frozen=True)
class Seen:
    """What reprod_log did, and the folder it did it in."""

    found: dict[str, Any]
    folder: Path

    def passes(self, name: str) -> bool:
        """Whether its log says so; KeyError where it raised."""
        return "diff check passed" in self.found[name]["log"]


@pytest.fixture(scope="module")
def reprod_log(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """Real reprod_log, run once over everything, for it takes seconds to import."""
    folder = tmp_path_factory.mktemp("traps")
    arrays = {f"{n}.{i}": side for n, pair in PAIRS.items() for i, side in enumerate(pair)}
    np.savez(folder / "pairs.npz", **arrays)
    (folder / "names.json").write_text(json.dumps(list(PAIRS)), encoding="utf-8")
    hostile = np.empty((), object)
    hostile[()] = {"x": _Hostile(folder / "marker")}
    np.save(folder / "hostile.npy", hostile)
    command = [sys.executable, str(CHILD), str(folder)]

    ran = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    return Seen(json.loads(ran.stdout.splitlines()[-1]), folder)


def _ours(name: str) -> Comparison:
    reference, candidate = PAIRS[name]
    return compare(reference, candidate, key=TensorKey(Kind.OUTPUT, "x"))


def _exchange(folder: Path, reference: Any, candidate: Any) -> ExchangeResult:
    """Our log in reprod_log's format; no interpreter is named that has it, which is quicker."""
    return write_exchange(
        folder,
        "x",
        ("torch", "paddle"),
        reference,
        candidate,
        log="x_diff.log",
        threshold=1e-6,
        closing=["closing"],
        python=str(folder / "none"),
    )


PASSES = {
    "nan in the candidate": (Outcome.FAIL, "1 of 3 elements are NaN or infinite on one side"),
    "nan in the reference": (Outcome.INCONCLUSIVE, "The reference itself holds NaN in 1 of 3"),
    "nan on both": (Outcome.INCONCLUSIVE, "The reference itself holds NaN"),
    "infinities hide the rest": (Outcome.FAIL, "Worst at [1]: 1 against 5"),
    "broadcast": (Outcome.FAIL, "Shapes differ: (4, 5) against (5,)"),
    "transposed": (Outcome.FAIL, "Shapes differ: (2, 3) against (3, 2)"),
    "one in a million": (Outcome.FAIL, "Worst at [7]: 0 against 0.5"),
    "small learning rate": (Outcome.FAIL, "Worst at [0]: 1e-06 against 5e-07"),
}


@pytest.mark.parametrize(("name", "said"), PASSES.items(), ids=PASSES)
def test_reprod_log_passes_what_portalign_does_not(
    name: str, said: tuple[Outcome, str], reprod_log: Seen
) -> None:
    assert reprod_log.passes(name)

    ours = _ours(name)

    assert ours.outcome is said[0]
    assert said[1] in ours.reason


HELD_BACK = [
    "nan in the candidate",
    "nan in the reference",
    "nan on both",
    "infinities hide the rest",
    "broadcast",
    "transposed",
]


@pytest.mark.parametrize("name", HELD_BACK)
def test_even_the_log_in_reprod_logs_words_fails_where_reprod_log_alone_passes(
    name: str, reprod_log: Seen, tmp_path: Path
) -> None:
    assert reprod_log.passes(name)

    result = _exchange(tmp_path, {"x": PAIRS[name][0]}, {"x": PAIRS[name][1]})

    assert not result.is_below_threshold
    assert "diff check failed" in (tmp_path / "x_diff.log").read_text(encoding="utf-8")


def test_a_correct_port_fails_by_broadcasting_and_portalign_names_the_shapes(
    reprod_log: Seen,
) -> None:
    assert "diff check failed" in reprod_log.found["column for row"]["log"]

    ours = _ours("column for row")

    assert ours.reason == "Shapes differ: (90,) against (90, 1)."


def test_unsigned_differences_wrap_and_ours_do_not(reprod_log: Seen, tmp_path: Path) -> None:
    assert "value: 254.0" in reprod_log.found["unsigned"]["log"]

    _exchange(tmp_path, {"x": PAIRS["unsigned"][0]}, {"x": PAIRS["unsigned"][1]})

    assert _ours("unsigned").native.max_abs == 2
    assert "value: 2.0" in (tmp_path / "x_diff.log").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "error"), [("bool", "TypeError"), ("text", "UFuncTypeError"), ("empty", "ValueError")]
)
def test_reprod_log_crashes_where_portalign_writes_a_log_and_a_note(
    name: str, error: str, reprod_log: Seen, tmp_path: Path
) -> None:
    assert reprod_log.found[name]["error"].endswith(error)

    result = _exchange(tmp_path, {"x": PAIRS[name][0]}, {"x": PAIRS[name][1]})

    assert not result.is_below_threshold
    assert name == "bool" or any("x: skipped" in note for note in result.notes)


def test_bools_are_compared_exactly_and_empty_arrays_decide_nothing() -> None:
    assert _ours("bool").outcome is Outcome.FAIL
    assert _ours("empty").outcome is Outcome.INCONCLUSIVE
    with pytest.raises(InputError, match="arrays of dtype <U1"):
        _ours("text")


def test_two_empty_dicts_pass_and_ours_are_not_below_the_threshold(
    reprod_log: Seen, tmp_path: Path
) -> None:
    assert reprod_log.passes("no keys")

    result = _exchange(tmp_path, {}, {})

    assert not result.is_below_threshold
    assert "nothing was compared" in (tmp_path / "x_diff.log").read_text(encoding="utf-8")


def test_report_returns_nothing_whether_it_passes_or_fails_and_ours_tells(
    reprod_log: Seen, tmp_path: Path
) -> None:
    assert reprod_log.found["equal"]["returned"] is None
    assert reprod_log.found["column for row"]["returned"] is None

    results = [_exchange(tmp_path, {"x": ONES}, {"x": other}) for other in (ONES, ONES + 1)]

    assert [result.is_below_threshold for result in results] == [True, False]
    assert [outcome.exit_code for outcome in (Outcome.PASS, Outcome.FAIL)] == [0, 1]


def test_handlers_pile_up_and_ours_write_one_report_per_log(
    reprod_log: Seen, tmp_path: Path
) -> None:
    seen = reprod_log.found["handlers"]
    assert "y: " in seen["first log"]
    assert len(re.findall("INFO: y: ", seen["printed"])) == 2

    for key in ("x", "y"):
        folder = tmp_path / key
        write_exchange(
            folder, key, ("a", "b"), {key: ONES}, {key: ONES},
            log="diff.log", threshold=1e-6, closing=["closing"],
        )  # fmt: skip

    first, second = ((tmp_path / key / "diff.log").read_text("utf-8") for key in ("x", "y"))
    assert "y: " not in first
    assert second.count("INFO: y: ") == 1


def test_loading_a_dump_executes_code_from_it_and_ours_refuses(
    reprod_log: Seen, tmp_path: Path
) -> None:
    marker = reprod_log.folder / "marker"
    assert marker.read_text(encoding="utf-8") == "run"
    marker.unlink()

    with pytest.raises(InputError):
        read_arrays(reprod_log.folder / "hostile.npy")

    assert not marker.exists()


def test_add_keeps_a_reference_and_our_traces_keep_copies(reprod_log: Seen, tmp_path: Path) -> None:
    assert reprod_log.found["kept"] == [3.0, 3.0, 3.0]

    writer, loss = TraceWriter(tmp_path), np.zeros(1)
    for iteration in range(3):
        loss += 1
        writer.add(TensorKey(Kind.LOSS, "loss", iteration=iteration), loss)
    writer.finish(side(Role.REFERENCE, "torch"))

    assert [float(record.array[0]) for record in read_trace(tmp_path).records] == [1.0, 2.0, 3.0]


def test_bfloat16_arrives_as_bit_patterns_and_ours_is_exchanged_as_values(
    reprod_log: Seen, tmp_path: Path
) -> None:
    seen = reprod_log.found["bfloat16"]
    assert (seen["dtype"], seen["bits"]) == ("uint16", 0x3F80)  # the bits of 1.0
    # 1.0 against 2.0 in bits is 0x3f80 against 0x4000: wrapped around
    assert "value: 65408.0" in seen["log"]

    one, two = (np.array([value], ml_dtypes.bfloat16) for value in (1, 2))
    _exchange(tmp_path, {"x": one}, {"x": two})

    assert "value: 1.0" in (tmp_path / "x_diff.log").read_text(encoding="utf-8")
    assert read_arrays(tmp_path / "x_torch.npy")["x"].dtype == np.float32


def test_importing_it_imports_paddle_and_importing_ours_does_not(reprod_log: Seen) -> None:
    assert reprod_log.found["imports paddle"]
    code = "import sys, portalign.report.reprod; print('paddle' in sys.modules)"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "False"
