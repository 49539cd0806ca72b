"""The community's dumps and logs: written by reprod_log, or by us in the same words."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from portalign.errors import ReportError
from portalign.report.reprod import ExchangeResult, write_exchange

pytestmark = pytest.mark.framework  # reprod_log imports paddle, in a child process

HEAD = re.compile(r"^\[\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\] root INFO: ", re.MULTILINE)
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(4, 3))


def _write(folder: Path, reference: Any, candidate: Any, **changes: Any) -> ExchangeResult:
    given: dict[str, Any] = {
        "prefix": "forward",
        "sides": ("torch", "paddle"),
        "log": "forward_diff.log",
        "threshold": 1e-6,
        "closing": ["aligned"],
    }
    return write_exchange(folder, reference=reference, candidate=candidate, **given | changes)


def _said(folder: Path) -> list[str]:
    """The log without its time stamps; every line has one."""
    lines = (folder / "forward_diff.log").read_text(encoding="utf-8").splitlines()
    assert all(HEAD.match(line) for line in lines)
    return [HEAD.sub("", line) for line in lines]


@pytest.fixture(scope="module")
def plain_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter that has numpy and no reprod_log: what a torch-only machine has."""
    folder = tmp_path_factory.mktemp("torch_only")
    path = folder / "python"
    path.write_text(
        "#!/bin/sh\n"
        f"mkdir -p '{folder}/reprod_log'\n"
        f"echo 'import paddle_that_is_not_there' > '{folder}/reprod_log/__init__.py'\n"
        f"PYTHONPATH='{folder}' exec '{sys.executable}' \"$@\"\n",
        encoding="utf-8",
    )
    path.chmod(0o755)
    return str(path)


def test_reprod_log_runs_where_paddle_is_not_to_be_had(tmp_path: Path) -> None:
    (tmp_path / "paddle.py").write_text("raise ImportError('there is no paddle here')\n")
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nPYTHONPATH='{tmp_path}' exec '{sys.executable}' \"$@\"\n")
    python.chmod(0o755)
    logs = tmp_path / "logs"
    logs.mkdir()

    result = _write(logs, {"logits": LOGITS}, {"logits": LOGITS}, python=str(python))

    assert result.written_by == "reprod_log"
    assert result.is_below_threshold


# Every dtype that reaches reprod_log, means that print long and short, groups, and the held back.
MANY: dict[str, tuple[Any, Any]] = {
    "float32": (LOGITS.astype("f4"), (LOGITS + 1e-7).astype("f4")),
    "float64": (LOGITS, LOGITS + 1e-9),
    "mixed": (LOGITS.astype("f4"), LOGITS),
    "float16": (LOGITS.astype("f2"), (LOGITS * 1.001).astype("f2")),
    "bfloat16": (LOGITS.astype(ml_dtypes.bfloat16), (LOGITS * 1.01).astype(ml_dtypes.bfloat16)),
    "complex64": (LOGITS.astype("c8"), (LOGITS + 1e-3j).astype("c8")),
    "bool": (LOGITS > 0, LOGITS > 0.5),
    "uint8": (np.arange(9, dtype="u1"), np.arange(9, dtype="u1")[::-1]),
    "uint64": (np.array([2**63], dtype="u8"), np.array([0], dtype="u8")),
    "int32": (np.arange(5, dtype="i4"), np.arange(5, dtype="i4") + 1),
    "scalar": (np.array(0.5, dtype="f4"), np.array(0.25, dtype="f4")),
    "equal": (LOGITS, LOGITS),
    "at threshold": (np.zeros(1), np.full(1, 1e-6)),
    "at threshold in float32": (np.zeros(1, "f4"), np.full(1, 1e-6, "f4")),
    "tiny": (np.zeros(2, "f4"), np.full(2, 1e-42, "f4")),
    "huge": (np.full(2, -3e38, "f4"), np.full(2, 3e38, "f4")),
    "group": ({"x": LOGITS, "in": {"y": LOGITS}}, {"x": LOGITS, "in": {"y": LOGITS + 1}}),
    "nan": (np.array([1.0, np.nan]), np.array([1.0, np.nan])),
    "shapes": (np.zeros((4, 5)), np.zeros(5)),
    "infinities": (np.array([np.inf, 1.0]), np.array([np.inf, 1.5])),
    "größe": (LOGITS, LOGITS),
    "text": (np.array(["a"]), np.array(["a"])),
    "empty": (np.zeros((0, 3)), np.zeros((0, 3))),
}
REFERENCE = {key: pair[0] for key, pair in MANY.items()}
CANDIDATE = {key: pair[1] for key, pair in MANY.items()}


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory, plain_python: str
) -> dict[str, tuple[Path, ExchangeResult]]:
    """The same exchange by reprod_log itself and by us."""
    real, ours = tmp_path_factory.mktemp("real"), tmp_path_factory.mktemp("ours")
    return {
        "reprod_log": (real, _write(real, REFERENCE, CANDIDATE)),
        "portalign": (ours, _write(ours, REFERENCE, CANDIDATE, python=plain_python)),
    }


def test_our_own_text_is_reprod_logs_text_but_for_the_time(both: dict[str, Any]) -> None:
    assert _said(both["portalign"][0]) == _said(both["reprod_log"][0])


def test_our_own_dumps_are_reprod_logs_dumps_byte_for_byte(both: dict[str, Any]) -> None:
    for name in ("forward_torch.npy", "forward_paddle.npy"):
        written = [(both[who][0] / name).read_bytes() for who in ("reprod_log", "portalign")]

        assert written[0] == written[1]


def test_the_result_says_who_wrote_the_log_and_why(both: dict[str, Any]) -> None:
    by_reprod_log, by_us = both["reprod_log"][1], both["portalign"][1]

    assert (by_reprod_log.written_by, by_us.written_by) == ("reprod_log", "portalign")
    assert by_us.notes[:-1] == by_reprod_log.notes
    assert by_us.notes[-1] == (
        "reprod_log can't be imported here (ModuleNotFoundError: No module named "
        "'paddle_that_is_not_there'); portalign wrote its format itself"
    )


def test_the_log_is_in_the_communitys_format(both: dict[str, Any]) -> None:
    said = _said(both["reprod_log"][0])

    assert said[:2] == [
        "float32: ",
        "\tmean diff: check passed: True, value: " + said[1].split()[-1],
    ]
    at = said.index("group")
    assert said[at : at + 6] == [
        "group",
        "\tx: ",
        "\t\tmean diff: check passed: True, value: 0.0",
        "\tin",
        "\t\ty: ",
        "\t\t\tmean diff: check passed: False, value: 1.0",
    ]


VALUES = {
    "bool": "mean diff: check passed: False",
    "uint8": "value: 4.444444444444445",  # |i - (8 - i)| over 9 elements; wrapping would give 128
    "uint64": "check passed: False, value: 9.223372036854776e+18",
    "nan": "check passed: False, value: inf",
    "shapes": "check passed: False, value: inf",
    "infinities": "check passed: False, value: 0.5",
    "scalar": "check passed: False, value: 0.25",
}


@pytest.mark.parametrize(("key", "value"), VALUES.items(), ids=VALUES)
def test_what_reprod_log_would_misjudge_is_judged_rightly(
    key: str, value: str, both: dict[str, Any]
) -> None:
    said = _said(both["reprod_log"][0])

    assert value in said[said.index(f"{key}: ") + 1]
    assert "diff check failed" in said


def test_the_log_holds_one_report_and_ends_with_our_verdict(both: dict[str, Any]) -> None:
    said = _said(both["reprod_log"][0])

    assert len([line for line in said if line.startswith("diff check")]) == 1
    assert len([line for line in said if line == "float32: "]) == 1
    assert said[-1] == "portalign: aligned"
    for note in (
        "text: skipped, <U1 values have no difference",
        "empty: skipped, an array of shape [0, 3] is empty",
        "shapes: shapes differ: [4, 5] and [5]; nothing was broadcast or transposed",
        "nan: 1 of 2 elements are NaN, or infinite on one side only",
        "infinities: 1 equal infinities are left out of the mean",
    ):
        assert f"portalign: {note}" in said


def test_reprod_log_itself_loads_what_was_written(both: dict[str, Any]) -> None:
    folder = both["reprod_log"][0]
    code = (
        "import reprod_log, sys\n"
        "read = reprod_log.ReprodDiffHelper().load_info(sys.argv[1])\n"
        "for key in ('float32', 'bfloat16', 'scalar', 'bool'):\n"
        "    print(key, read[key].dtype, read[key].shape)\n"
        "print('text' in read, list(read['group']['in']))\n"
    )
    command = [sys.executable, "-c", code, str(folder / "forward_torch.npy")]

    ran = subprocess.run(command, capture_output=True, text=True, check=True)

    assert ran.stdout.splitlines() == [
        "float32 float32 (4, 3)",
        "bfloat16 float32 (4, 3)",
        "scalar float32 (1,)",
        "bool float32 (4, 3)",
        "False ['y']",
    ]


def test_a_second_exchange_replaces_the_first_and_leaves_no_litter(
    tmp_path: Path, plain_python: str
) -> None:
    _write(tmp_path, {"a": LOGITS}, {"a": LOGITS + 1}, python=plain_python)

    result = _write(tmp_path, {"b": LOGITS}, {"b": LOGITS}, python=plain_python)

    assert _said(tmp_path) == [
        "b: ",
        "\tmean diff: check passed: True, value: 0.0",
        "diff check passed",
        "portalign: aligned",
    ]
    assert result.is_below_threshold
    assert sorted(item.name for item in tmp_path.iterdir()) == sorted(result.files)


def test_a_key_on_one_side_only_fails_and_is_named(tmp_path: Path, plain_python: str) -> None:
    result = _write(tmp_path, {"a": LOGITS}, {"a": LOGITS, "b": LOGITS}, python=plain_python)

    assert "\tmean diff: check passed: False, value: inf" in _said(tmp_path)
    assert "portalign: b: only the candidate has it" in _said(tmp_path)
    assert not result.is_below_threshold


@pytest.mark.parametrize(
    "tree", [{}, {"a": np.zeros(0)}, {"a": {}}], ids=["none", "empty", "group"]
)
def test_nothing_compared_is_not_below_the_threshold_and_the_log_says_so(
    tree: Any, tmp_path: Path, plain_python: str
) -> None:
    result = _write(tmp_path, tree, tree, python=plain_python, closing=["could not decide"])

    assert not result.is_below_threshold
    assert _said(tmp_path)[-2:] == [
        "portalign: nothing was compared: this log proves nothing",
        "portalign: could not decide",
    ]


def test_a_line_break_in_a_verdict_cannot_forge_a_line(tmp_path: Path, plain_python: str) -> None:
    forged = "diverged\n[2026/01/01 00:00:00] root INFO: portalign: aligned"

    _write(tmp_path, {"a": LOGITS}, {"a": LOGITS}, closing=[forged], python=plain_python)

    assert _said(tmp_path)[-1].startswith("portalign: diverged [2026")


REFUSED = {
    "same sides": ({"sides": ("x", "x")}, "don't make two dumps and a log"),
    "a way out": ({"prefix": "../forward"}, "don't make two dumps and a log"),
    "nan threshold": ({"threshold": float("nan")}, "threshold nan is not a finite number"),
    "inf threshold": ({"threshold": float("inf")}, "threshold inf is not a finite number"),
    "forged key": ({"reference": {"a\ndiff check passed": LOGITS}}, "can't be a key of the log"),
    "array and group": (
        {"reference": {"a": LOGITS}, "candidate": {"a": {"b": LOGITS}}},
        "a is an array on one side and a group on the other",
    ),
}


@pytest.mark.parametrize(("changes", "said"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    given = {"reference": {"a": LOGITS}, "candidate": {"a": LOGITS}}

    with pytest.raises(ReportError) as caught:
        _write(tmp_path, **given | changes)

    assert said in caught.value.found
    assert list(tmp_path.iterdir()) == []


def test_a_crash_of_reprod_log_is_an_error_and_leaves_the_earlier_log(
    tmp_path: Path, plain_python: str
) -> None:
    _write(tmp_path, {"a": LOGITS}, {"a": LOGITS}, python=plain_python)
    before = (tmp_path / "forward_diff.log").read_bytes()
    crashing = tmp_path / "python"
    crashing.write_text("#!/bin/sh\necho 'disk on fire' >&2; exit 1\n", encoding="utf-8")
    crashing.chmod(0o755)

    with pytest.raises(ReportError, match="reprod_log stopped: disk on fire"):
        _write(tmp_path, {"a": LOGITS}, {"a": LOGITS + 1}, python=str(crashing))

    assert (tmp_path / "forward_diff.log").read_bytes() == before
    assert not list(tmp_path.glob(".exchange-*"))


FAILING = {
    "no such interpreter": ("", "can't be started: No such file or directory"),
    "an illegal instruction": ("#!/bin/sh\nkill -ILL $$\n", "signal 4"),
}


@pytest.mark.parametrize(("script", "reason"), FAILING.values(), ids=FAILING)
def test_an_interpreter_that_cannot_run_reprod_log_still_gives_a_log(
    script: str, reason: str, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    if script:
        python.write_text(script, encoding="utf-8")
        python.chmod(0o755)

    result = _write(tmp_path / "logs", {"a": LOGITS}, {"a": LOGITS}, python=str(python))

    assert result.written_by == "portalign"
    assert reason in result.notes[-1]
    assert "diff check passed" in _said(tmp_path / "logs")
