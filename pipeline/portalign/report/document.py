"""What is said about a step or a run, before anyone decides how it looks.

A `Document` is short on purpose: the worst rows, the reservations, counts for the rest and the next
command. Everything else stands in ``report.json``. All text in it is free of control characters,
for the names in it come from other people's models.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from portalign.findings import Finding
from portalign.report.aggregate import RunReport
from portalign.report.explained import probe_lines, told
from portalign.report.plain import plain
from portalign.report.trained import trained
from portalign.results import (
    Comparison,
    Measurement,
    Outcome,
    Reservation,
    StepReport,
    Unpaired,
    Verdict,
)

MAX_ROWS = 12  # with everything else a step says, this fills a screen of 40 lines
MAX_REMARKS = 4
WORDS = {
    Outcome.PASS: "aligned",
    Outcome.INCONCLUSIVE: "could not decide",
    Outcome.ERROR: "could not decide",
    Outcome.FAIL: "diverged",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A table column. One that is not needed is left out where the terminal is narrow."""

    name: str
    is_number: bool = False
    is_needed: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """A table row, as text, with the outcome that colours it."""

    outcome: Outcome
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows worst first; `rest` says in a line what was left out, "" if nothing."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    rest: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """One thing to tell, from the most to the least important.

    Attributes:
        title: what it is about ("bert forward").
        word: "aligned", "diverged" or "could not decide".
        reason: one sentence on the first or worst difference, "" if there is none.
        table: None when nothing was compared.
        causes: why it differs, as far as rules can tell, with the proof and the remedy.
        reservations: why a pass would prove less than it seems.
        remarks: counts of unpaired tensors, notes, files; one line each.
        trained: which links of the training iterations are at fault, and how fast the sides part.
        probed: what differs on inputs that portalign made, and why; no part of the verdict.
    """

    title: str
    outcome: Outcome
    word: str
    headline: str
    reason: str
    table: Table | None
    reservations: tuple[str, ...]
    remarks: tuple[str, ...]
    next_command: str
    causes: tuple[str, ...] = ()
    trained: tuple[str, ...] = ()
    probed: tuple[str, ...] = ()


def step_document(report: StepReport) -> Document:
    """Say what one step found."""
    ranked = worst_first(report.comparisons)
    return Document(
        title=plain(f"{report.port} {report.step.value}"),
        outcome=report.outcome,
        word=WORDS[report.outcome],
        headline=plain(report.headline),
        reason=_reason(report, ranked),
        table=_pairs(ranked) if ranked else None,
        reservations=_few(f"{item.rule}: {item.text}" for item in report.reservations),
        remarks=(
            *_unpaired(report.unpaired),
            *_few(report.notes),
            *([f"files: {', '.join(map(plain, report.files))}"] if report.files else []),
        ),
        next_command=plain(report.next_command),
        causes=_causes(report.findings),
        trained=_trained(report),
        probed=tuple(map(indented, probe_lines(report.probe))),
    )


def run_document(run: RunReport) -> Document:
    """Say what all steps of a port found together."""
    columns = (Column("step"), Column("outcome"), Column("what it found"), Column("run at"))
    rows = tuple(
        Row(
            step.outcome,
            (step.step.value, step.state.value, plain(step.reason), plain(step.created) or "-"),
        )
        for step in sorted(run.steps, key=lambda step: -step.outcome.severity)
    )
    return Document(
        title=plain(run.port),
        outcome=run.outcome,
        word=WORDS[run.outcome],
        headline=plain(run.headline),
        reason="",
        table=Table(columns, rows),
        reservations=(),
        remarks=_few(run.notes),
        next_command=plain(run.next_command),
    )


def comparison_document(
    title: str,
    comparisons: tuple[Comparison, ...],
    unpaired: tuple[Unpaired, ...],
    outcome: Outcome,
    reservations: tuple[Reservation, ...] = (),
) -> Document:
    """Say how two dumps compare."""
    ranked = worst_first(comparisons)
    n_passed = sum(item.outcome is Outcome.PASS for item in comparisons)
    worst = ranked[0] if ranked and ranked[0].outcome is not Outcome.PASS else None
    return Document(
        title=plain(title),
        outcome=outcome,
        word=WORDS[outcome],
        headline=f"{n_passed} of {len(comparisons)} arrays agree, {len(unpaired)} on one side only",
        reason=plain(f"{worst.label}: {worst.reason}") if worst else "",
        table=_pairs(ranked) if ranked else None,
        reservations=_few(f"{item.rule}: {item.text}" for item in reservations),
        remarks=_unpaired(unpaired),
        next_command="",
    )


def closing_lines(report: StepReport) -> tuple[str, ...]:
    """Return the last lines of the step's diff log, the verdict last of all.

    Where it differs first and why, what training showed, reservations, counts, verdict.
    """
    lines = []
    ranked = worst_first(report.comparisons)
    if reason := _reason(report, ranked):
        lines.append(f"first difference: {reason}")
    if named := [one for one in report.findings if one.is_confirmed]:
        more = f" (and {len(named) - 1} more findings)" if len(named) > 1 else ""
        lines.append(plain(told(named[0])[0]) + more)
    lines += _trained(report)
    if report.probe:
        lines.append(plain(probe_lines(report.probe)[0]))
    if report.reservations:
        first, n_more = report.reservations[0], len(report.reservations) - 1
        more = f" (and {n_more} more, see report.json)" if n_more else ""
        lines.append(f"reservation: {plain(f'{first.rule}: {first.text}')}{more}")
    lines.append(_counts(report))
    lines.append(f"{WORDS[report.outcome]}: {plain(report.headline)}")
    return tuple(lines)


def worst_first(comparisons: Iterable[Comparison]) -> tuple[Comparison, ...]:
    """Sort by severity, then used share of what was allowed (NaN counts as most), then order."""

    def rank(comparison: Comparison) -> tuple[int, float, int]:
        used = math.inf if math.isnan(comparison.used) else comparison.used
        return -comparison.outcome.severity, -used, comparison.order

    return tuple(sorted(comparisons, key=rank))


def _reason(report: StepReport, ranked: tuple[Comparison, ...]) -> str:
    """One sentence on the first place that differs, or else on the worst pair that didn't pass."""
    not_passed = [item for item in ranked if item.outcome is not Outcome.PASS]
    first = [item for item in not_passed if item.label == report.divergence.first]
    chosen = (first or not_passed)[:1]
    return "".join(plain(f"{item.label}: {item.reason}") for item in chosen)


def _trained(report: StepReport) -> tuple[str, ...]:
    return tuple(map(plain, trained(report.blames, report.growth)))


def _counts(report: StepReport) -> str:
    found = Counter(item.verdict for item in report.comparisons)
    parts = [f"{found[verdict]} {verdict.value}" for verdict in Verdict if found[verdict]]
    counted = f"{len(report.comparisons)} compared" + (f" ({', '.join(parts)})" if parts else "")
    return f"{counted}, {len(report.unpaired)} on one side only"


def _pairs(ranked: tuple[Comparison, ...]) -> Table:
    columns = (
        Column("tensor"),
        Column("verdict"),
        Column("by", is_needed=False),
        Column("rel diff", is_number=True),
        Column("float64", is_number=True),
        Column("worst element: reference -> candidate", is_needed=False),
        Column("used", is_number=True),
    )
    shown, hidden = ranked[:MAX_ROWS], ranked[MAX_ROWS:]
    found = Counter(item.verdict for item in hidden)
    parts = [f"{found[verdict]} {verdict.value}" for verdict in Verdict if found[verdict]]
    rest = f"and {len(hidden)} more: {', '.join(parts)}" if hidden else ""
    return Table(columns, tuple(Row(item.outcome, _cells(item)) for item in shown), rest)


def _cells(item: Comparison) -> tuple[str, ...]:
    return (
        plain(item.label),
        item.verdict.value,
        item.basis.value,
        f"{item.native.rel_frobenius:.1e}",
        "-" if item.twin is None else f"{item.twin.rel_frobenius:.1e}",
        _worst_element(item.native),
        _share(item.used),
    )


def _worst_element(native: Measurement) -> str:
    if native.shape_reference != native.shape_candidate:
        return f"shapes {list(native.shape_reference)} -> {list(native.shape_candidate)}"
    if not native.n_mismatched:
        return "-"
    return (
        f"{list(native.worst_index)}: {native.worst_reference:.6g} -> {native.worst_candidate:.6g}"
    )


def _share(used: float) -> str:
    """The used share in per cent, as a multiple where it is far beyond."""
    if not math.isfinite(used):
        return str(used)
    return f"{used:.0%}" if used < 10 else f"{used:.1e}x"


def _unpaired(unpaired: tuple[Unpaired, ...]) -> tuple[str, ...]:
    promised = [item for item in unpaired if item.is_promised]
    others = Counter(item.role for item in unpaired if not item.is_promised)
    lines = [
        f"missing: {item.key} stands only on the {item.role} side ({item.reason})"
        for item in promised
    ]
    told = [f"{n} only on the {role} side" for role, n in sorted(others.items())]
    if told:
        lines.append(f"inner tensors without a partner: {', '.join(told)}")
    return _few(lines)


def _causes(findings: tuple[Finding, ...]) -> tuple[str, ...]:
    shown = [indented(line) for one in findings[:MAX_REMARKS] for line in told(one)]
    n_more = len(findings) - MAX_REMARKS
    more = f"and {n_more} more findings in report.json, which `portalign explain` prints"
    return (*shown, *([more] if n_more > 0 else []))


def indented(line: str) -> str:
    """A line without control characters that keeps its indent."""
    return " " * (len(line) - len(line.lstrip(" "))) + plain(line)


def _few(lines: Iterable[str]) -> tuple[str, ...]:
    shown = [plain(line) for line in lines]
    n_more = len(shown) - MAX_REMARKS
    return (*shown[:MAX_REMARKS], *([f"and {n_more} more in report.json"] if n_more > 0 else []))
