"""The engine around the rules: two causes at one place, one cause at many, a rule that breaks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from causes.norm_eps import STATE, WEIGHT, X, layer_norm
from causes.places import module, random
from portalign.diagnose import engine
from portalign.diagnose.confirm import Cause, Proposal, confirmed, relative
from portalign.diagnose.engine import Doctor
from portalign.diagnose.evidence import Site
from portalign.diagnose.merge import merged
from portalign.diagnose.rule import Rule
from portalign.diagnose.words import number
from portalign.findings import Finding, FindingKind, OriginKind
from portalign.report.data import write_step_report
from portalign.results import StepReport
from sample_reports import failing_report
from tiny_ports import portalign

RMS_OF_OTHER_EPS = X / np.sqrt((X**2).mean(-1, keepdims=True) + 1e-2) * WEIGHT + STATE["bias"]


def test_two_causes_at_one_place_are_both_named() -> None:
    site = module(layer_norm(1e-5), RMS_OF_OTHER_EPS, inputs={"in.0": X}, state=STATE)

    found = {one.rule: one for one in Doctor().causes(site)}

    assert found.keys() == {"norm-eps", "norm-kind"}
    assert found["norm-eps"].fitted["candidate eps"] == pytest.approx(1e-2)
    assert all("together with the other cause" in one.evidence for one in found.values())


def test_one_cause_in_many_places_is_one_finding_with_a_list() -> None:
    site = module(layer_norm(1e-12), layer_norm(1e-5), inputs={"in.0": X}, state=STATE)
    doctor = Doctor()
    sites = [replace(site, origin=replace(site.origin, label=f"norm{n} out.0")) for n in range(3)]

    found = merged([one for each in sites for one in doctor.causes(each)])

    assert [one.where for one in found] == [("norm0 out.0", "norm1 out.0", "norm2 out.0")]


def test_other_values_are_another_finding() -> None:
    one = Finding("norm-eps", FindingKind.CAUSE, ("a",), "eps is 1e-5", is_confirmed=True)

    assert len(merged([one, replace(one, where=("b",), claim="eps is 1e-3")])) == 2


def _raise(_site: Site) -> Iterable[Proposal]:
    raise RuntimeError("broken\nrule")


def _boast(site: Site) -> Iterable[Proposal]:
    cause = Cause("boast", "everything is wrong", "copy the reference")
    yield Proposal((cause,), modelled=site.reference.target, repaired=site.reference.target)


@pytest.mark.parametrize("propose", [_raise, _boast])
def test_a_rule_that_raises_or_proves_nothing_changes_no_finding(
    propose: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = Rule("bad", "", frozenset(OriginKind), propose)  # type: ignore[arg-type]  # either
    monkeypatch.setattr(engine, "other_rules", lambda: (rule,))
    site = module(layer_norm(1e-5), RMS_OF_OTHER_EPS, inputs={"in.0": X}, state=STATE)
    doctor = Doctor()

    assert {one.rule for one in doctor.causes(site)} == {"norm-eps", "norm-kind"}
    assert doctor.notes == (
        ["rule bad failed with RuntimeError: broken rule"] if propose is _raise else []
    )


def test_a_repair_without_a_model_of_the_fault_proves_nothing() -> None:
    x = random(4, 4)
    site = module(x, x + 1, inputs={"in.0": x})
    cause = Cause("", "", "")

    assert confirmed(site, Proposal((cause,), modelled=x + 1, repaired=x)) is not None
    assert confirmed(site, Proposal((cause,), modelled=x, repaired=x)) is None
    assert confirmed(site, Proposal((cause,), modelled=x + 1, repaired=x + 1e-3)) is None


def test_nothing_that_is_not_finite_is_near() -> None:
    one = np.array([1.0, np.inf])

    assert relative(one, one) == 0
    assert relative(np.array([1.0, np.nan]), one) == np.inf
    assert relative(np.array([np.inf, np.inf]), one) == np.inf
    assert relative(one[:1], one) == np.inf


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1 / 16, "0.0625 = 1/16"),
        (-(32**0.5), "-5.65685 = -sqrt(32)"),
        (1e-12, "1e-12"),
        (1.1, "1.1"),
    ],
)
def test_numbers_are_told_with_what_they_stand_for(value: float, text: str) -> None:
    assert number(value) == text


def _explained(folder: Path, report: StepReport) -> Path:
    (folder / "forward").mkdir(parents=True)
    write_step_report(report, folder / "forward")
    return folder


def test_explain_prints_the_findings_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = Finding(
        "norm-eps", FindingKind.CAUSE, ("a", "b", "c", "d"), "the eps\x1b is 1e-05", "it falls",
        "set eps", is_confirmed=True,
    )  # fmt: skip
    report = replace(failing_report(), findings=(finding,))

    said = portalign(capsys, "explain", str(_explained(tmp_path / "logs", report)))

    assert said.code == 1
    assert "cause (norm-eps): the eps\\x1b is 1e-05, at a; b; c; and 1 more" in said.out
    assert "proof: it falls" in said.out
    assert "what to do: set eps" in said.out


def test_explain_speaks_json_and_chinese(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = Finding("norm-eps", FindingKind.CAUSE, ("a",), "the eps is 1e-05", "it falls")
    report = replace(failing_report(), findings=(finding,))
    folder = str(_explained(tmp_path / "logs", report))

    read = json.loads(portalign(capsys, "explain", folder, "--json").out)
    in_chinese = portalign(capsys, "explain", folder, "--lang", "zh").out

    assert (read["outcome"], read["steps"][0]["step"]) == ("fail", "forward")
    assert read["steps"][0]["findings"][0]["claim"] == "the eps is 1e-05"
    assert "norm-eps" in in_chinese
    assert all(word in in_chinese for word in ("原因", "the eps is 1e-05", "仅为线索"))


def test_explain_without_a_report_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = portalign(capsys, "explain", str(tmp_path))

    assert said.code == 2
    assert "logs/bert" in said.err
