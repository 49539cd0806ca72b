"""A step's report as ``report.json``: strict JSON, versioned, atomic, read back exactly.

Whoever wants portalign's verdicts in a program reads this file; `docs/report.schema.json` describes
it and is `report_schema` written down. What the fields mean stands in `results`.
"""

from __future__ import annotations

import json
from pathlib import Path

from portalign.errors import ReportError
from portalign.report.codec import Json, decode, encode, schema
from portalign.report.files import write_text
from portalign.results import StepReport

SCHEMA = 2
FILE_NAME = "report.json"


def write_step_report(report: StepReport, folder: Path) -> Path:
    """Write ``folder/report.json`` and return its path; an earlier one is replaced only when done.

    NaN and infinities are written as "nan", "inf" and "-inf".

    Raises:
        ReportError: the disk refuses, the report is of another schema version, or it holds
            something that isn't data.
    """
    if report.schema != SCHEMA:
        raise ReportError(
            f"report of schema {report.schema}, this portalign writes schema {SCHEMA}",
            why="a reader would take it for something it isn't",
            do=f"build the report with schema={SCHEMA}",
        ).within(report.step.value)
    return write_json(report, folder / FILE_NAME)


def read_step_report(path: Path) -> StepReport:
    """Read a ``report.json`` back into the report that was written.

    Values under ``settings`` come back as plain JSON: tuples are lists, infinities are strings.

    Raises:
        ReportError: the file is absent, broken, or of another schema version.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        _check_schema(data, path)
        return decode(data, StepReport)
    except OSError as err:
        fault = f"{path} can't be read: {err.strerror or err}"
    except RecursionError:
        fault = f"{path} is nested too deeply"
    except ValueError as err:  # includes broken JSON and bytes that aren't UTF-8
        fault = f"{path} is broken: {err}"
    raise ReportError(
        fault,
        why="what the step found is not known without it",
        do="run the step again, it writes this file anew",
    )


def report_schema() -> dict[str, Json]:
    """Return the JSON Schema of ``report.json``, drawn from the dataclasses themselves."""
    described = schema(StepReport, title=f"portalign step report, schema {SCHEMA}")
    described["$defs"]["StepReport"]["properties"]["schema"] = {"const": SCHEMA}
    return described


def write_json(value: object, path: Path) -> Path:
    """Write a dataclass as JSON to `path` and return it; what stood there is replaced at once.

    Raises:
        ReportError: the disk refuses (the earlier file then stays as it was), or the value holds
            something that isn't data.
    """
    try:
        text = json.dumps(encode(value), indent=1, allow_nan=False, ensure_ascii=False)
    except TypeError as err:
        raise ReportError(
            f"{path.name} can't be written: {err}",
            why="a report holds text and numbers only",
            do="give settings and reports plain values (numbers, text, lists, mappings)",
        ) from err
    return write_text(text + "\n", path)


def _check_schema(data: Json, path: Path) -> None:
    found = data.get("schema") if isinstance(data, dict) else None
    if found != SCHEMA:
        raise ReportError(
            f"{path} is of schema {found!r}, this portalign reads schema {SCHEMA}",
            why="fields may have changed their meaning between schemas",
            do="run the step again with this version, or read the file with the one that wrote it",
        )


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON; portalign writes it as text")
