"""What a step says on the terminal: worst first, no more than a screen, names never obeyed."""

from __future__ import annotations

import dataclasses
import io
import math
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from portalign.findings import Finding, FindingKind
from portalign.records import Step
from portalign.report.aggregate import gather
from portalign.report.data import write_step_report
from portalign.report.document import (
    Document,
    closing_lines,
    run_document,
    step_document,
    worst_first,
)
from portalign.report.text import render
from portalign.results import Divergence, Outcome, Reservation, StepReport, Verdict
from sample_reports import comparison, failing_report, measurement, step_report


def _print(document: Document, *, width: int = 140, is_terminal: bool = False) -> str:
    stream = io.StringIO()
    render(document, Console(file=stream, width=width, force_terminal=is_terminal, no_color=None))
    return stream.getvalue()


def test_a_failing_step_tells_verdict_place_numbers_and_what_is_missing() -> None:
    text = _print(step_document(failing_report()))

    for said in (
        "bert forward: diverged",
        "1 of 3 pairs diverges",
        "encoder.1: the divergent of it in plain words",
        "[1, 2]: 0.1234 -> 0.1236",
        "5.6e-08",
        "8.0e-16",
        "reservation: constant-lr: The LR never changes.",
        "missing: output pooled stands only on the reference side (no such output)",
        "inner tensors without a partner: 1 only on the candidate side",
        "files: forward_torch.npy, forward_paddle.npy, forward_diff.log",
        "next: python steps/step2_metric.py",
    ):
        assert said in text


def test_rows_stand_worst_first_by_outcome_and_then_by_used_share() -> None:
    items = (
        comparison("low", used=0.1),
        comparison("open", Verdict.UNDECIDED, used=0.0),
        comparison("high", used=0.9),
        comparison("wrong", Verdict.DIVERGENT, used=3.0),
        comparison("crashed", outcome=Outcome.ERROR),
        comparison("nan", Verdict.DIVERGENT, used=math.nan),
    )

    order = [item.label for item in worst_first(items)]

    assert order == ["nan", "wrong", "crashed", "open", "high", "low"]


def test_a_large_step_fills_no_more_than_a_screen() -> None:
    many = tuple(comparison(f"encoder.{i}", used=i / 500) for i in range(400))
    reservations = tuple(Reservation(f"rule-{i}", "Something odd.") for i in range(30))
    notes = tuple(f"note {i}" for i in range(30))
    report = step_report(comparisons=many, reservations=reservations, notes=notes)

    text = _print(step_document(report), width=120, is_terminal=True)

    assert len(text.splitlines()) <= 40  # a usual terminal's height
    assert "encoder.399" in text
    assert "and 388 more: 388 rounding" in text
    assert "and 26 more in report.json" in text


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_every_label_is_readable_in_full_at_any_width(width: int) -> None:
    label = "bert.encoder.layer.11.attention.self.query.weight"

    report = step_report(comparisons=(comparison(label),))
    shown = _print(step_document(report), width=width, is_terminal=True)

    text = Text.from_ansi(shown).plain
    first = text.index("tensor")
    # a narrow table folds the label over lines of its first column: take that column alone
    column = "".join(line.split("  ")[0].strip() for line in text[first:].splitlines())
    assert label in column


def test_without_a_terminal_there_are_no_escape_codes_and_sentences_stay_in_one_line() -> None:
    reason = "a long sentence that says " + "why " * 60 + "it differs"
    report = step_report(
        outcome=Outcome.FAIL,
        comparisons=(comparison("fc", Verdict.DIVERGENT, reason=reason),),
        divergence=Divergence(first="fc"),
    )

    text = _print(step_document(report), width=80)

    assert "\x1b" not in text
    assert f"fc: {reason}" in text
    assert "[1, 2]: 0.1234 -> 0.1236" in text


def test_names_are_printed_as_they_are_and_never_obeyed() -> None:
    label = "[bold]x[/bold] \x1b[31m\nred\u202e"

    text = _print(step_document(step_report(comparisons=(comparison(label),))))

    assert "[bold]x[/bold] \\x1b[31m red\\u202e" in text
    assert "\x1b" not in text


def test_unequal_shapes_are_shown_in_place_of_an_element() -> None:
    native = measurement(shape_reference=(90,), shape_candidate=(90, 1), rel_frobenius=math.nan)
    report = step_report(comparisons=(comparison("lr", Verdict.DIVERGENT, native=native),))

    assert "shapes [90] -> [90, 1]" in _print(step_document(report))


def test_a_step_that_compared_nothing_has_no_table() -> None:
    report = step_report(
        outcome=Outcome.INCONCLUSIVE, headline="nothing was compared", comparisons=()
    )

    document = step_document(report)

    assert document.table is None
    assert "could not decide" in _print(document)


WORDS = {
    "pass": (step_report(), "aligned: 2 of 2 pairs agree"),
    "fail": (failing_report(), "diverged: 1 of 3 pairs diverges"),
    "inconclusive": (
        step_report(outcome=Outcome.INCONCLUSIVE, headline="nothing moves"),
        "could not decide: nothing moves",
    ),
    "error": (
        step_report(outcome=Outcome.ERROR, headline="a side crashed"),
        "could not decide: a side crashed",
    ),
}


@pytest.mark.parametrize(("report", "last"), WORDS.values(), ids=WORDS)
def test_the_verdict_is_the_last_line_of_the_log(report: StepReport, last: str) -> None:
    lines = closing_lines(report)

    assert lines[-1] == last
    assert len(lines) <= 4


def test_the_closing_lines_name_first_difference_reservations_and_counts() -> None:
    two = (*failing_report().reservations, Reservation("same-side", "Both are one file."))
    report = dataclasses.replace(failing_report(), reservations=two)

    assert closing_lines(report)[:3] == (
        "first difference: encoder.1: the divergent of it in plain words",
        "reservation: constant-lr: The LR never changes. (and 1 more, see report.json)",
        "3 compared (1 rounding, 1 divergent, 1 undecided), 2 on one side only",
    )


def test_a_confirmed_cause_has_a_line_in_the_log_and_a_guess_has_none() -> None:
    cause = Finding("norm-eps", FindingKind.CAUSE, ("a",), "eps is 1e-5", is_confirmed=True)
    guess = dataclasses.replace(cause, is_confirmed=False)
    sure, unsure = (
        closing_lines(dataclasses.replace(failing_report(), findings=found))
        for found in ((cause, guess, cause), (guess,))
    )

    assert sure[1] == "cause (norm-eps): eps is 1e-5, at a (and 1 more findings)"
    assert not [line for line in unsure if "eps" in line]


def test_the_first_difference_is_the_one_that_comes_first_and_not_the_largest() -> None:
    report = step_report(
        outcome=Outcome.FAIL,
        comparisons=(
            comparison("early", Verdict.DIVERGENT, used=2.0),
            comparison("late", Verdict.DIVERGENT, used=900.0),
        ),
        divergence=Divergence(origins=("early",), inherited=("late",), first="early"),
    )

    assert closing_lines(report)[0].startswith("first difference: early: ")


def test_a_run_shows_every_step_and_the_next_command(tmp_path: Path) -> None:
    for step in (Step.FORWARD, Step.LR_SCHEDULER):
        write_step_report(failing_report(step), tmp_path / step.value)

    text = _print(run_document(gather(tmp_path)))

    for said in (
        "bert: diverged",
        "blocked",
        "forward failed first",
        "forward and lr_scheduler failed first",
        "next: python steps/step1_forward.py --port bert",
    ):
        assert said in text
