"""A port's results as Markdown, ready for a pull request: the tables that porters type by hand.

Per step its verdict; per output and per layer the largest and the mean absolute difference, beside
what float64 says. Names stand in code spans, where Markdown gives meaning to nothing but the
backtick and the table's own bar.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from portalign.records import Kind, Step
from portalign.report.aggregate import RunReport
from portalign.report.document import WORDS, worst_first
from portalign.report.figures import growths
from portalign.report.plain import plain
from portalign.report.spots import spots
from portalign.report.words import Say, english
from portalign.results import Comparison, StepReport

MAX_ROWS = 100  # of a table: GitHub takes 65,536 characters a comment
MAX_ITEMS = 20  # of a list
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$]|:(?=//))")
_MENTION = re.compile(r"([@#])(?=\w)")  # GitHub looks for people and issues after Markdown is done


def markdown(run: RunReport, reports: Mapping[Step, StepReport], say: Say = english) -> str:
    """The run as Markdown with tables, in GitHub's dialect."""
    lines = [
        f"## {code(run.port)}: {text(say(WORDS[run.outcome]))}",
        "",
        text(say(run.headline)),
        "",
        *_frameworks(reports),
        *_table(
            [say("step"), say("outcome"), say("what it found")],
            (
                [code(s.step.value), text(say(s.state.value)), text(say(s.reason))]
                for s in run.steps
            ),
        ),
    ]
    for report in reports.values():
        lines += _step(report, say)
    return "\n".join(lines).rstrip() + "\n"


def code(name: str) -> str:
    """A name as a code span, whatever is in it.

    >>> print(code("a"), code("x`y"))
    `a` ``x`y``
    """
    shown = plain(name) or " "
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    space = " " if shown[0] == "`" or shown[-1] == "`" else ""
    return f"{fence}{space}{shown}{space}{fence}"


def cell(name: str) -> str:
    r"""A name as a code span in a table, where a bar would end the cell.

    >>> print(cell("a|b"))
    `a\|b`
    """
    return code(name).replace("|", "\\|")


def text(sentence: str) -> str:
    r"""A sentence in which neither Markdown nor GitHub finds anything to obey.

    >>> print(text("a_b *c* <d>"))
    a\_b \*c\* \<d\>
    """
    return _MENTION.sub("\\1\u200b", _SPECIAL.sub(r"\\\1", plain(sentence)))


def _step(report: StepReport, say: Say) -> Iterator[str]:
    tables = list(_tables(report, say))
    places = [*report.divergence.origins, *report.divergence.unresolved]
    if not (tables or places or report.findings or report.reservations or report.probe):
        return
    yield from (f"### {code(report.step.value)}", "")
    yield from _list(say("Where it begins"), (code(label) for label in places))
    yield from _list(
        say("Why"), (text(f"{say(each.claim)} {say(each.remedy)}") for each in report.findings)
    )
    yield from _list(
        say("Reservations"),
        (text(f"{each.rule}: {say(each.text)}") for each in report.reservations),
    )
    yield from _list(
        say("On portalign's own inputs"), (text(say(line)) for line in _probed(report))
    )
    yield from tables


def _probed(report: StepReport) -> Iterator[str]:
    if report.probe:
        yield report.probe.text
        yield from (f"{each.claim} {each.remedy}" for each in report.probe.findings)


def _tables(report: StepReport, say: Say) -> Iterator[str]:
    numbers = (Kind.OUTPUT, Kind.METRIC, Kind.LOSS, Kind.LR, Kind.GRADIENT_NORM)
    outputs = [one for one in report.comparisons if one.key.kind in numbers]
    yield from _pairs(say("Outputs"), outputs, say)
    shown = {spot.row for spot in spots(report, report.divergence.origins)}
    for growth in growths(report, shown):
        if growth.name != "outputs of the model":
            rows = [report.comparisons[row] for row in growth.rows]
            yield from _pairs(say(growth.name).capitalize(), rows, say)


def _pairs(title: str, pairs: Sequence[Comparison], say: Say) -> Iterator[str]:
    if not pairs:
        return
    chosen = sorted(worst_first(pairs)[:MAX_ROWS], key=lambda one: one.order)
    head = ("tensor", "verdict", "max abs diff", "mean abs diff", "rel. diff", "float64")
    yield from (f"**{text(title)}**", "")
    yield from _table(
        [say(name) for name in head],
        (
            [
                cell(one.label),
                text(say(one.verdict.value)),
                f"{one.native.max_abs:.2e}",
                f"{one.native.mean_abs:.2e}",
                f"{one.native.rel_frobenius:.1e}",
                f"{one.twin.rel_frobenius:.1e}" if one.twin else "",
            ]
            for one in chosen
        ),
    )
    if len(pairs) > len(chosen):
        yield from (text(f"{len(chosen)} / {len(pairs)}: {say('the worst are shown')}"), "")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(text(name) for name in head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _list(title: str, items: Iterable[str]) -> Iterator[str]:
    lines = list(items)
    if not lines:
        return
    yield from (f"**{text(title)}**", "")
    yield from (f"- {line}" for line in lines[:MAX_ITEMS])
    if len(lines) > MAX_ITEMS:
        yield f"- {len(lines) - MAX_ITEMS} ..."
    yield ""


def _frameworks(reports: Mapping[Step, StepReport]) -> Iterator[str]:
    named = [
        " → ".join(f"{side.framework} {side.framework_version}" for side in report.sides)
        for report in reports.values()
        if report.sides
    ]
    yield from (text(line) for line in named[:1])
    yield ""
