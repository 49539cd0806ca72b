"""Reports in Chinese: every verdict, heading and reason has a translation, and names have none."""

# ruff: noqa: RUF001 - Chinese text has full-width punctuation

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import sample_ports
from portalign.compare import vacuity
from portalign.compare.curves import compare_curve
from portalign.compare.harmless import forgive
from portalign.compare.pairs import as_data, compare
from portalign.findings import FindingKind, OriginKind, Part
from portalign.mapping.layouts import AS_IS
from portalign.mapping.pair import Pair
from portalign.records import Kind, Role, Step, TensorKey, TensorRecord
from portalign.report import html
from portalign.report.aggregate import StepState, summarise
from portalign.report.document import WORDS, closing_lines, run_document, step_document
from portalign.report.figures import growths
from portalign.report.markdown import markdown
from portalign.report.spoken import spoken
from portalign.report.words import LANGUAGES, catalogue, english, language
from portalign.results import Basis, Comparison, Outcome, Tolerance, Verdict
from sample_reports import comparison, failing_report, side

PAGE = Path(html.__file__).parent / "page"
KEY = TensorKey(Kind.ACTIVATION, "fc", "out.0")
OTHERS = [name for name in LANGUAGES if name != "en"]
say = language("zh")
HOLE = re.compile(r"\{\w+\}")


def words_of_the_page() -> set[str]:
    """Every text that the page's scripts and template ask a translation for."""
    scripts = "\n".join(path.read_text(encoding="utf-8") for path in sorted(PAGE.glob("*.js")))
    found = set(re.findall(r'\bt\("([^"]+)"\)', scripts))
    found |= set(re.findall(r'\b(?:section|folded|texts)\("([^"]+)"', scripts))
    for group in re.findall(r"\btable\(\[([^\]]*)\]", scripts):
        found |= set(re.findall(r'"([^"]+)"', group))
    facts = scripts.partition("const facts = [")[2].partition("];")[0]
    found |= set(re.findall(r'\["([^"]+)",', facts))
    found = {text for text in found if text.strip(", ")}
    return found | set(re.findall(r"say\('([^']+)'\)", (PAGE / "report.html.j2").read_text()))


ENUMS = {
    member.value
    for kind in (Basis, FindingKind, OriginKind, Outcome, Part, Step, StepState, Verdict)
    for member in kind
}


@pytest.mark.parametrize("text", sorted(words_of_the_page() | ENUMS | set(WORDS.values())))
def test_every_heading_and_verdict_has_a_translation(text: str) -> None:
    assert text in catalogue("zh")


def test_the_page_asks_for_many_words_and_an_unknown_one_would_be_noticed() -> None:
    assert {"Where it begins", "mean difference", "worst element", "dark"} <= words_of_the_page()
    assert len(words_of_the_page()) > 60
    assert "no such heading" not in catalogue("zh")


@pytest.mark.parametrize("name", OTHERS)
def test_a_translation_has_the_holes_of_its_source_and_every_line_is_used(name: str) -> None:
    for source, translation in catalogue(name).items():
        assert sorted(HOLE.findall(source)) == sorted(HOLE.findall(translation)), source
        assert translation.strip()


def judged(reference: Any, candidate: Any, twins: Any = None, **more: Any) -> Comparison:
    arrays = np.asarray(reference), np.asarray(candidate)
    return compare(*arrays, key=KEY, twins=twins, **more)


def reasons() -> dict[str, str]:
    """A reason of every kind that `compare` gives, from real arrays."""
    rng = np.random.default_rng(3)
    double = rng.normal(size=(4, 5))
    single = double.astype(np.float32)
    near = (single + np.float32(1e-7)).astype(np.float32)
    bad = np.array([1.0, np.nan], np.float32)
    low = double.astype(ml_dtypes.bfloat16).astype(np.float32)
    ints, other = np.array([1, 2, 3]), np.array([1, 2, 4])
    plain = np.array([1.0, 2.0])
    curve = {"key": TensorKey(Kind.LR, "lr"), "label": "lr", "how_paired": "same key"}
    record = TensorRecord(TensorKey(Kind.ACTIVATION, "fc", "in.0"), 0, single, "float32")
    forgiven = Pair(record, record, AS_IS, "name", "fc in.0")
    failing = comparison("fc in.0", Verdict.DIVERGENT, key=record.key, reason="Equal bit for bit.")
    tight = Tolerance(1e-12, 0.0, "given by the user")
    return {
        "identical": judged(single, single).reason,
        "close integers": judged(ints, ints.astype(np.int32)).reason,
        "unequal integers": judged(ints, other).reason,
        "near tie": judged(ints, other, (ints, ints)).reason,
        "shapes": judged(single, single.T).reason,
        "kinds": judged(single, ints).reason,
        "empty": judged(single[:0], single[:0]).reason,
        "nan in the reference": judged(bad, plain.astype(np.float32)).reason,
        "nan in the candidate": judged(plain.astype(np.float32), bad).reason,
        "float64 nan": judged(plain, plain, (plain, bad.astype(float))).reason,
        "mathematics": judged(single, near, (double, double * 1.01)).reason,
        "hidden": judged(single, single, (double, double * 1.01)).reason,
        "rounding": judged(single, near, (double, double)).reason,
        "precision": judged(single, low, (double, double)).reason,
        "loses alone": judged(double, single.astype(float), (double, double)).reason,
        "within": judged(single, near).reason,
        "beyond": judged(single, near, tolerance=tight).reason,
        "twin with nan": judged(single, near, (double * np.nan, double)).reason,
        "twin left behind": judged(single, near, (single, double)).reason,
        "other dtypes": as_data(judged(single, double, tolerance=Tolerance(1, 1, "x"))).reason,
        "other bytes": as_data(judged(single, near)).reason,
        "harmless": forgive([forgiven], [failing], frozenset({0}))[0].reason,
        "curve": compare_curve(plain, plain * (1 + 1e-12), **curve).reason,
        "curve off": compare_curve(plain, plain * 2, **curve).reason,
        "number off": compare_curve(plain[:1], plain[:1] * 2, **curve).reason,
        "curve lengths": compare_curve(plain, plain[:1], **curve).reason,
        "curve empty": compare_curve(plain[:0], plain[:0], **curve).reason,
        "curve nan": compare_curve(plain * np.nan, plain, **curve).reason,
        "curve nan once": compare_curve(np.array([1.0, np.nan]), plain, **curve).reason,
    }


@pytest.mark.parametrize(("kind", "reason"), reasons().items(), ids=reasons())
def test_every_reason_is_said_in_chinese(kind: str, reason: str) -> None:
    said = say(reason)

    left = re.sub(r"\(.*?\)|（.*?）|`[^`]*`", "", said)
    assert re.search(r"[\u4e00-\u9fff]", said), reason
    assert not re.search(r"[a-z]{3,} [a-z]{2,} [a-z]{2,}", left), said
    assert re.findall(r"\d+e-\d+", said) == re.findall(r"\d+e-\d+", reason)  # numbers stay


def doubts() -> list[str]:
    one, values = side(Role.REFERENCE, "torch"), {"w": np.ones(2)}
    still = np.full(5, 0.1)
    found = [
        vacuity.same_side(one, one, ("torch", "paddle")),
        vacuity.same_side(one, one, ("torch", "torch")),
        vacuity.same_file(PAGE, PAGE),
        vacuity.saturated_metric("accuracy", 1.0, 2),
        vacuity.saturated_metric("accuracy", 0.5, 1),
        vacuity.unmoved_weights(values, values),
        vacuity.missing_kinds(frozenset(), (Kind.LOSS,)),
        vacuity.loose_tolerance("logits", np.linspace(0, 1e-9, 10), 1.0),
        vacuity.boundless_tolerance("metric", still, 1.0),
        vacuity.constant_curve(still, what="learning rate", needed="probe more points"),
    ]
    return [each.text for each in found if each]


@pytest.mark.parametrize("text", doubts())
def test_every_reservation_is_said_in_chinese(text: str) -> None:
    assert re.search(r"[\u4e00-\u9fff]{4}", say(text)), text


def test_sentences_around_names_are_said_and_the_names_stay() -> None:
    assert say("begins at loss") == "始于 loss"
    assert say("4 of 4 steps pass") == "4 个步骤中有 4 个通过"
    assert "失败：前向；受阻：评估指标、反向" in say(
        "1 of 4 steps pass; fail: forward; blocked: metric, backward"
    )
    assert say("all 145 pairs agree: 67 identical, 78 rounding") == (
        "全部 145 对一致：67 个逐位相同、78 个舍入误差"
    )


def test_what_is_not_known_stays_english_and_english_stays_as_it_is() -> None:
    unknown = "the activation is gelu (tanh) where the reference has gelu (erf)"

    assert say(unknown) == unknown
    assert language("en") is english
    assert english("aligned") == "aligned"


def test_the_outputs_are_written_in_chinese() -> None:
    found = sample_ports.deep_port()
    run = summarise(found)

    text = markdown(run, found.reports, say)
    page = html.render(run, found.reports, say)
    document = spoken(run_document(run), say)

    assert "不一致" in text
    assert "差异从哪里开始" in text
    assert f"`{sample_ports.ORIGIN}`" in text
    assert '<html lang="zh-CN">' in page
    assert "4 个步骤中有 1 个通过" in page
    assert document.word == "不一致"
    assert document.table is not None
    assert document.table.rows[0].cells[:2] == ("forward", "失败")


def test_a_step_says_its_reason_in_chinese_and_keeps_labels() -> None:
    found = sample_ports.deep_port().reports[Step.FORWARD]

    document = spoken(step_document(found), say)

    assert document.reason.startswith(f"{sample_ports.ORIGIN}: 在 float64 下")
    assert say(closing_lines(found)[-2]).startswith("比较了 ")
    assert spoken(step_document(failing_report()), english) == step_document(failing_report())


def test_every_walk_of_the_growth_plot_has_a_name_in_chinese() -> None:
    for port in (sample_ports.deep_port(), sample_ports.passing_port()):
        for report in port.reports.values():
            for growth in growths(report):
                assert say(growth.name) != growth.name
