"""What the page is given: every pair in its module, origins that lead somewhere, drawn points that
keep the worst, and nothing that HTML could take for its own.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pytest

import sample_ports
from portalign.findings import Origin, OriginKind
from portalign.records import Kind, Step, TensorKey
from portalign.report import html
from portalign.report.aggregate import summarise
from portalign.report.columns import tree
from portalign.report.figures import MAX_POINTS, curves, growths
from portalign.report.page import page_data
from portalign.report.plain import plain
from portalign.report.spots import spots
from portalign.results import Divergence, StepReport, Verdict
from sample_reports import comparison, step_report

VALUE = "encoder.layer.17.attention.self.value"


def step_data(report: StepReport) -> dict[str, Any]:
    found = sample_ports.recorded("port", report)
    data = page_data(summarise(found), found.reports, samples={})
    named: dict[str, Any] = next(each for each in data["steps"] if each["step"] == report.step)
    return named


def deep() -> StepReport:
    return sample_ports.deep_port().reports[Step.FORWARD]


def text_of(column: dict[str, Any], row: int) -> str:
    text: str = column["texts"][column["rows"][row]]
    return text


def test_every_pair_stands_in_its_module_on_both_sides() -> None:
    data = step_data(deep())
    tensors, (ours, theirs) = data["tensors"], data["trees"]

    row = tensors["label"].index(sample_ports.ORIGIN)

    assert ours["names"][tensors["reference"][row]] == "value"
    assert theirs["names"][tensors["candidate"][row]] == "v_proj"
    assert theirs["names"][theirs["parents"][tensors["candidate"][row]]] == "self_attn"
    assert text_of(tensors["place"], row) == "origin"
    assert text_of(tensors["place"], row + 1) == "inherited"


def test_the_page_data_is_strict_json_with_words_for_what_is_not_finite() -> None:
    report = step_report(comparisons=(comparison("a", used=float("nan")), comparison("b")))

    data = json.loads(json.dumps(step_data(report), allow_nan=False))

    assert data["tensors"]["used"] == ["nan", 0.65]


def test_what_belongs_to_no_module_stands_in_a_group() -> None:
    keys = [TensorKey(Kind.INPUT, "input_ids"), TensorKey(Kind.LOSS, "loss")]

    found = tree(None, keys)

    assert found.names == ("inputs", "loss")
    assert [found.names[found.node(key)] for key in keys] == ["inputs", "loss"]


def test_a_tensor_of_an_unknown_module_stands_in_the_nearest_one() -> None:
    side = deep().sides[0]
    found = tree(side, [])

    inner = found.node(TensorKey(Kind.ACTIVATION, f"{VALUE}.inner.most", "out.0"))

    assert found.names[inner] == "value"


GLUE = "glue before encoder.layer.20.output.dense in.0, after encoder.layer.20.intermediate.dense"
SPOTS = {
    "a pair": (sample_ports.ORIGIN, (), sample_ports.ORIGIN),
    "glue with a place": (
        GLUE,
        (Origin(GLUE, OriginKind.GLUE, "encoder.layer.20.output.dense", "in.0"),),
        "encoder.layer.20.output.dense in.0",
    ),
    "glue in words alone": (GLUE, (), "encoder.layer.20.output.dense in.0"),
    "nothing that is known": ("somewhere else", (), None),
}


@pytest.mark.parametrize(("label", "places", "leads_to"), SPOTS.values(), ids=SPOTS)
def test_an_origin_leads_to_the_pair_that_shows_it(
    label: str, places: tuple[Origin, ...], leads_to: str | None
) -> None:
    report = dataclasses.replace(deep(), divergence=Divergence((label,), places=places))

    (spot,) = spots(report, [label])

    assert (report.comparisons[spot.row].label if spot.row >= 0 else None) == leads_to


def test_thinning_keeps_origins_and_the_worst_of_each_stretch() -> None:
    many = [comparison(f"m{at}", order=at) for at in range(5 * MAX_POINTS)]
    many[1234] = comparison("m1234", Verdict.DIVERGENT, order=1234)
    report = step_report(comparisons=tuple(many))

    (growth,) = growths(report, shown={77, 78})

    assert growth.n_all == 5 * MAX_POINTS
    assert len(growth.rows) <= MAX_POINTS + 2
    assert {77, 78, 1234} <= set(growth.rows)
    assert list(growth.rows) == sorted(growth.rows)


def test_a_short_walk_is_drawn_whole_and_one_pair_is_none() -> None:
    assert growths(step_report())[0].rows == (0, 1)
    assert growths(step_report(comparisons=(comparison("one"),))) == ()


def test_a_long_curve_keeps_its_ends_and_the_point_that_differs() -> None:
    reference = tuple(float(at) for at in range(4000))
    candidate = (*reference[:2345], 9.0, *reference[2346:])
    report = step_report(curves={"lr": {"reference": reference, "candidate": candidate}})

    (curve,) = curves(report)

    assert len(curve.iterations) <= MAX_POINTS + 2
    assert {0, 2345, 3999} <= set(curve.iterations)
    assert curve.candidate[curve.iterations.index(2345)] == 9.0


def test_curves_of_unequal_length_are_drawn_as_far_as_both_go() -> None:
    sides = {"reference": (1.0, 2.0, 3.0), "candidate": (1.0, 2.0)}

    (curve,) = curves(step_report(curves={"loss": sides}))

    assert curve.iterations == (0, 1)


def test_no_name_reaches_the_html_parser() -> None:
    found = sample_ports.odd_port()

    page = html.render(summarise(found), found.reports)

    head, _, rest = page.partition('<script type="application/octet-stream" id="data">')
    assert "<script" not in head
    assert "&lt;script&gt;" in head
    assert "<img" not in page.replace(html._plotly(), "")
    packed = rest.partition("</script>")[0]
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", packed)
    page.encode("utf-8")  # no lone surrogate is left


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fc\n\t 1", "fc 1"),
        ("a\u202eb", "a\\u202eb"),
        ("\ud800", "\\ud800"),
        ("\x00\x1b[2J", "\\x00\\x1b[2J"),
        ("注意力.权重 é", "注意力.权重 é"),
    ],
    ids=["lines", "direction", "surrogate", "control", "letters"],
)
def test_names_are_made_plain(text: str, said: str) -> None:
    assert plain(text) == said


def test_the_page_is_a_few_hundred_kilobytes_beyond_the_plot_library() -> None:
    found = sample_ports.deep_port()

    page = html.render(summarise(found), found.reports)

    library = re.search(r'id="plotly">([^<]*)<', page)
    assert library
    assert len(page) - len(library[1]) < 300_000
