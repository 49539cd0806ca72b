"""What machines and reviewers are given: summary, JUnit, Markdown and images, each held against its
schema or its parser, for a port that passes, one that differs, and one whose names are an attack.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from lxml import etree
from markdown_it import MarkdownIt
from markdown_it.token import Token

import sample_ports
from portalign.records import Step
from portalign.report.aggregate import Recorded, StepState, summarise, summary_schema, write_summary
from portalign.report.images import curves_image, growth_image
from portalign.report.junit import junit
from portalign.report.markdown import MAX_ROWS, markdown
from sample_reports import failing_report, step_report

HERE = Path(__file__).parent
PORTS = {
    "passing": sample_ports.passing_port,
    "deep": sample_ports.deep_port,
    "odd": sample_ports.odd_port,
    "nothing": lambda: Recorded("nothing", {}, {}),
    "failing": lambda: sample_ports.recorded("failing", failing_report()),
}
EVERY_PORT = pytest.mark.parametrize("port", PORTS.values(), ids=PORTS)


def parsed(text: str) -> list[Token]:
    """Tokens of Markdown as GitHub reads it, the inline ones among them."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    return [inner for token in tokens for inner in (token, *(token.children or ()))]


def tree(text: str) -> etree._Element:
    return etree.fromstring(text.encode("utf-8"))


@EVERY_PORT
def test_the_summary_keeps_to_the_schema_in_docs(
    port: Callable[[], Recorded], tmp_path: Path
) -> None:
    data = json.loads(write_summary(summarise(port()), tmp_path).read_text(encoding="utf-8"))

    schema = json.loads((HERE.parent / "docs" / "summary.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(data)
    assert schema == summary_schema(), (
        "write json.dumps(summary_schema(), indent=1) to docs/summary.schema.json"
    )


def test_a_summary_with_another_state_is_refused_by_the_schema() -> None:
    data = {"schema": 2, "port": "x", "outcome": "fine"}

    assert not jsonschema.Draft202012Validator(summary_schema()).is_valid(data)


@EVERY_PORT
def test_the_junit_file_keeps_to_its_schema(port: Callable[[], Recorded]) -> None:
    found = port()

    document = tree(junit(summarise(found), found.reports))

    etree.XMLSchema(etree.parse(HERE / "junit.xsd")).assertValid(document)
    assert [case.get("name") for case in document.iter("testcase")] == [s.value for s in Step]


def test_a_broken_junit_file_is_refused_by_the_schema() -> None:
    schema = etree.XMLSchema(etree.parse(HERE / "junit.xsd"))

    assert not schema.validate(tree("<testsuites><testcase/></testsuites>"))


def test_only_a_step_that_passes_is_green() -> None:
    found = sample_ports.passing_port()
    run = summarise(found)
    expected = {
        StepState.PASSED: {"system-out"},
        StepState.FAILED: {"failure"},
        StepState.BLOCKED: {"skipped"},
        StepState.INCONCLUSIVE: {"error"},
        StepState.ERROR: {"error"},
        StepState.MISSING: {"error"},
        StepState.STALE: {"error"},
    }

    for state in StepState:
        step = dataclasses.replace(run.steps[0], state=state, reason="said why")
        one = dataclasses.replace(run, steps=(step,))
        (case,) = tree(junit(one, found.reports)).iter("testcase")
        assert {child.tag for child in case} == expected[state], state
        if state is not StepState.PASSED:
            assert case[0].get("message") == "said why"


@EVERY_PORT
def test_markdown_is_headings_tables_and_lists_and_holds_no_html(
    port: Callable[[], Recorded],
) -> None:
    found = port()

    tokens = parsed(markdown(summarise(found), found.reports))

    kinds = {token.type for token in tokens}
    assert not kinds & {"html_block", "html_inline", "image", "link_open", "fence", "code_block"}
    assert "table_open" in kinds
    rows = "".join(
        {"tr_open": "\n", "td_open": "d", "th_open": "h"}.get(t.type, "") for t in tokens
    )
    assert set(map(len, rows.split())) <= {3, 6}  # every row as wide as its head


def test_markdown_shows_odd_names_as_they_are() -> None:
    found = sample_ports.odd_port()

    text = markdown(summarise(found), found.reports)

    spans = [token.content for token in parsed(text) if token.type == "code_inline"]
    assert any(sample_ports.EVIL in span and "&'`|*_" in span for span in spans)


def test_markdown_has_the_tables_that_porters_type_and_fits_a_comment() -> None:
    found = sample_ports.recorded("deep", sample_ports._diverging(400))

    text = markdown(summarise(found), found.reports)

    assert "| tensor | verdict | max abs diff | mean abs diff | rel. diff | float64 |" in text
    assert f"{MAX_ROWS} / " in text
    assert "`encoder.layer.17.attention.self.value out.0` | divergent | " in text
    assert len(text) < 65_536  # what GitHub takes as one comment


def test_people_and_issues_are_not_called_from_markdown() -> None:
    report = step_report(headline="ask @someone about #12 at https://example.org")
    found = sample_ports.recorded("port", report)

    text = markdown(summarise(found), found.reports)

    assert "@someone" not in text
    assert "#12" not in text
    assert "https://" not in text


def size(image: bytes | None) -> tuple[int, int]:
    """Width and height of a PNG, from its header."""
    assert image is not None
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", image[16:24])
    return width, height


def test_the_two_main_plots_are_drawn_as_png() -> None:
    found = sample_ports.deep_port().reports

    growth, curves = growth_image(found[Step.FORWARD]), curves_image(found[Step.BACKWARD])

    assert min(size(growth)) >= 400
    assert min(size(curves)) >= 400
    assert len(growth or b"") < 200_000


def test_odd_names_and_numbers_are_drawn_too() -> None:
    odd = sample_ports.odd_port().reports[Step.FORWARD]

    assert size(growth_image(odd))
    assert size(curves_image(odd))
    assert size(curves_image(failing_report()))


def test_a_step_without_depth_or_curves_has_no_image() -> None:
    report = step_report(comparisons=())

    assert growth_image(report) is None
    assert curves_image(report) is None
