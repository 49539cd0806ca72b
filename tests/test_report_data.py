"""report.json: read back exactly, described by the schema in docs, refused when it is broken."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from portalign.errors import ReportError
from portalign.report.data import read_step_report, report_schema, write_step_report
from portalign.results import StepReport
from sample_reports import comparison, failing_report, measurement, step_report

SCHEMA_FILE = Path(__file__).parent.parent / "docs" / "report.schema.json"
REPORTS = pytest.mark.parametrize("make", [step_report, failing_report], ids=["pass", "fail"])


@REPORTS
def test_a_report_is_read_back_exactly_as_it_was_written(
    make: Callable[[], StepReport], tmp_path: Path
) -> None:
    report = make()

    again = read_step_report(write_step_report(report, tmp_path))

    # repr, since NaN is not equal to itself
    assert repr(again) == repr(report)


@REPORTS
def test_what_is_written_is_strict_json_and_fits_the_schema_in_docs(
    make: Callable[[], StepReport], tmp_path: Path
) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    text = write_step_report(make(), tmp_path).read_text(encoding="utf-8")

    data = json.loads(text, parse_constant=refuse)
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(data)


def test_not_finite_numbers_are_written_as_words(tmp_path: Path) -> None:
    data = json.loads(write_step_report(failing_report(), tmp_path).read_text(encoding="utf-8"))

    assert data["comparisons"][1]["used"] == "inf"
    assert data["comparisons"][2]["native"]["cosine"] == "nan"
    assert data["comparisons"][2]["native"]["worst_reference"] == "-inf"


def test_the_schema_in_docs_is_the_one_the_dataclasses_make() -> None:
    written = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))

    assert written == report_schema(), (
        "a field of results or records changed: raise data.SCHEMA if old readers would misread it, "
        "then write json.dumps(report_schema(), indent=1) to docs/report.schema.json"
    )


def _drop_outcome(data: dict[str, Any]) -> None:
    del data["outcome"]


def _unknown_outcome(data: dict[str, Any]) -> None:
    data["outcome"] = "fine"


def _unknown_field(data: dict[str, Any]) -> None:
    data["comparisons"][0]["score"] = 1


def _number_as_text(data: dict[str, Any]) -> None:
    data["comparisons"][0]["used"] = "small"


def _bool_as_count(data: dict[str, Any]) -> None:
    data["comparisons"][0]["order"] = True


def _list_as_object(data: dict[str, Any]) -> None:
    data["comparisons"] = {"0": data["comparisons"][0]}


CHANGES = {
    "missing": (_drop_outcome, "lacks outcome"),
    "enum": (_unknown_outcome, ".outcome is 'fine', expected one of pass"),
    "unknown": (_unknown_field, ".comparisons[0] has unknown fields score"),
    "number": (_number_as_text, ".comparisons[0].used is 'small', expected a number"),
    "bool": (_bool_as_count, ".comparisons[0].order is True, expected integer"),
    "object": (_list_as_object, ".comparisons is {"),
}


@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=CHANGES)
def test_a_changed_field_is_refused_by_reader_and_schema_alike(
    change: Callable[[dict[str, Any]], None], said: str, tmp_path: Path
) -> None:
    path = write_step_report(step_report(), tmp_path)
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")

    with pytest.raises(ReportError) as caught:
        read_step_report(path)

    assert said in caught.value.found
    assert not jsonschema.Draft202012Validator(report_schema()).is_valid(data)


BROKEN = {
    "cut": (b'{"schema": 2, "port": "be', "is broken"),
    "empty": (b"", "is broken"),
    "nan": (b'{"schema": NaN}', "NaN is not JSON"),
    "bytes": (b"\xff\xfe{}", "is broken"),
    "deep": (b"[" * 200_000, "is nested too deeply"),
    "list": (b"[]", "is of schema None"),
    "newer": (b'{"schema": 9}', "is of schema 9, this portalign reads schema 2"),
}


@pytest.mark.parametrize(("content", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_a_report_error_that_says_what_to_do(
    content: bytes, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(content)

    with pytest.raises(ReportError) as caught:
        read_step_report(path)

    assert said in caught.value.found
    assert "run the step again" in caught.value.do


def test_an_absent_file_is_a_report_error(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="can't be read: No such file"):
        read_step_report(tmp_path / "report.json")


def test_a_report_of_another_schema_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="this portalign writes schema 2"):
        write_step_report(step_report(schema=9), tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_numpy_scalars_and_paths_are_written_as_plain_data(tmp_path: Path) -> None:
    native = measurement(max_abs=np.float32(0.5), n_compared=np.int64(6))
    report = step_report(
        comparisons=(comparison("fc", native=native),), settings={"data": Path("a/b")}
    )

    again = read_step_report(write_step_report(report, tmp_path))

    assert again.comparisons[0].native == measurement(max_abs=0.5, n_compared=6)
    assert again.settings == {"data": "a/b"}


def test_an_array_in_the_settings_is_refused_and_leaves_the_earlier_report(tmp_path: Path) -> None:
    path = write_step_report(step_report(), tmp_path)
    before = path.read_bytes()

    with pytest.raises(ReportError, match="a ndarray has no place in a report"):
        write_step_report(step_report(settings={"x": np.zeros(2)}), tmp_path)

    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["report.json"]


def test_a_full_disk_leaves_the_earlier_report_and_no_litter(tmp_path: Path) -> None:
    path = write_step_report(step_report(), tmp_path)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # the file system ends after 100 bytes
    try:
        with pytest.raises(ReportError) as caught:
            write_step_report(step_report(headline="newer"), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert "can't be written" in caught.value.found
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["report.json"]


def test_the_report_package_imports_neither_paddle_nor_torch_nor_reprod_log() -> None:
    code = (
        "import sys\n"
        "import portalign.report.reprod, portalign.report.text, portalign.report.aggregate\n"
        "print([n for n in ('torch', 'paddle', 'reprod_log') if n in sys.modules])"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"
