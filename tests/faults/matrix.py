"""The fault matrix: capture all rows, conclude each, and set portalign's verdicts beside those of
other tools.

A fault is caught by a FAIL, a rewrite is silent with a PASS, and an origin is exactly right when
every place the report names is one of the row's true places. A cause is named right when the
report's first finding is the row's and no finding names another.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from faults import rows_bert, rows_cnn, rows_gpt, rows_rnn, rows_training, rows_weights
from faults.captures import LOW, Case, capture, cases
from faults.rivals import Pairs, close_by_numpy, close_by_reprod_log, why_no_padiff
from faults.row import UNEXPLAINED, Row, place
from portalign.conclude import Conclusion, conclude
from portalign.errors import PortalignError
from portalign.findings import Finding, FindingKind
from portalign.records import Kind
from portalign.report.keys import dumps
from portalign.results import Comparison, Outcome, StepReport

ROWS: tuple[Row, ...] = (
    *rows_bert.ROWS,
    *rows_gpt.ROWS,
    *rows_cnn.ROWS,
    *rows_rnn.ROWS,
    *rows_training.ROWS,
    *rows_weights.ROWS,
)
LATEST = 2  # the iteration, from 0, by which a training fault must be blamed
NEEDED_ORIGINS = 0.95
NEEDED_LOW = 0.85  # in low precision: the share of faults to catch, and one rewrite may be flagged
# Of the planted causes: the share to name right, and the share that may be named wrong.
NEEDED_NAMED, ALLOWED_WRONG = 0.95, 0.01
NEEDED_NAMED_LOW, ALLOWED_WRONG_LOW = 0.80, 0.02


class Naming(Enum):
    """What the findings say of a planted cause."""

    RIGHT = "right"
    WRONG = "WRONG"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class Result:
    """What everybody says of one case.

    Attributes:
        outcome: portalign's; ERROR where a side could not be run.
        places: where the report puts the origins.
        difference: relative float64 difference of what the step gives out; NaN where there is none.
        note: why it could not be run, or what was reported.
        blames: part and iteration of every blame, in the report's order.
        findings: of the report, in its order.
        is_probed_apart: the sides differ on portalign's own inputs.
    """

    case: Case
    outcome: Outcome
    places: tuple[str, ...]
    difference: float
    is_close_to_numpy: bool
    is_close_to_reprod_log: bool
    note: str
    blames: tuple[tuple[str, int], ...] = ()
    findings: tuple[Finding, ...] = ()
    is_probed_apart: bool = False

    @property
    def is_right(self) -> bool:
        """Caught, or silent on a rewrite: on portalign's own inputs too."""
        if self.case.row.is_benign:
            return self.outcome is Outcome.PASS and not self.is_probed_apart
        return self.outcome is Outcome.FAIL

    @property
    def is_origin_right(self) -> bool:
        """Every reported place is a true one, and there is one."""
        if self.case.row.part:
            return self.is_blamed_right
        return bool(self.places) and set(self.places) <= self.case.row.places

    @property
    def is_blamed_right(self) -> bool:
        """Of a training fault: its part alone is blamed, and in time."""
        parts = {part for part, _ in self.blames}
        return parts == {self.case.row.part} and self.blames[0][1] <= LATEST

    @property
    def naming(self) -> Naming:
        """Whether the cause is named: right only as the first finding and with no other beside it.

        Of a rewrite only a fault may not be named: a legitimate transform is no wrong word for it.
        What frameworks differ in anyway is told beside a cause and is none.
        """
        told = [one for one in self.findings if one.kind is not FindingKind.KNOWN_DIFFERENCE]
        named = [one for one in told if one.kind is not FindingKind.UNEXPLAINED]
        if self.case.row.is_benign:
            named = [one for one in named if one.kind is FindingKind.CAUSE]
        if not {one.rule for one in named} <= set(self.case.row.cause.split()):
            return Naming.WRONG
        is_first = bool(named) and named[0] is told[0]
        return Naming.RIGHT if is_first else Naming.UNEXPLAINED


def run(rows: Sequence[Row], folder: Path, *, dtype: str = "float32") -> list[Result]:
    """Capture and conclude rows."""
    everything = cases(rows, folder, dtype=dtype)
    capture(everything, folder)
    concluded = [_conclude(case) for case in everything]
    pairs = [_exchanged(c) if isinstance(c, Conclusion) else {} for c in concluded]
    by_reprod_log = close_by_reprod_log(pairs, folder)
    return [
        _result(case, conclusion, shown, is_close)
        for case, conclusion, shown, is_close in zip(
            everything, concluded, pairs, by_reprod_log, strict=True
        )
    ]


def _conclude(case: Case) -> Conclusion | str:
    failed = sorted(case.folder.glob("*.error.json"))
    if failed:
        return failed[0].read_text(encoding="utf-8")
    try:
        return conclude(case.port, case.step, case.folder)
    except PortalignError as err:
        return str(err)


def _exchanged(conclusion: Conclusion) -> Pairs:
    """What a porter exchanges today: outputs, or losses and learning rates."""
    return dumps(conclusion.report.step, conclusion.pairs)[0].values


def _result(case: Case, conclusion: Conclusion | str, pairs: Pairs, is_close: bool) -> Result:
    if isinstance(conclusion, str):
        return Result(case, Outcome.ERROR, (), math.nan, True, True, conclusion)
    report = conclusion.report
    named = report.divergence.origins or report.divergence.unresolved
    return Result(
        case,
        report.outcome,
        tuple(dict.fromkeys(map(place, named))),
        float64_difference(report),
        close_by_numpy(pairs),
        is_close,
        "; ".join([*named, *(blame.text for blame in report.blames)]) or report.headline,
        tuple((blame.part.value, blame.iteration) for blame in report.blames),
        report.findings,
        report.probe is not None,
    )


def float64_difference(report: StepReport) -> float:
    """Relative Frobenius distance of the float64 twins over all outputs, or over the loss and all
    first gradients.

    As one vector: a gradient that is zero in theory weighs what it weighs. NaN where nothing has a
    twin.
    """
    squares = [
        (c.twin.norm_difference**2, c.twin.norm_reference**2) for c in _given_out(report) if c.twin
    ]
    if not squares:
        return math.nan
    difference, size = np.sqrt(np.sum(squares, axis=0))
    return float(difference / size) if size else math.nan


def _given_out(report: StepReport) -> Iterator[Comparison]:
    for one in report.comparisons:
        is_gradient = one.key.kind is Kind.GRADIENT and not one.key.slot.startswith("out")
        is_output = one.key.kind in (Kind.OUTPUT, Kind.LOSS)
        if (is_output or is_gradient) and not one.key.iteration:
            yield one


def passes(results: Sequence[Result], *, dtype: str) -> bool:
    """Whether the matrix shows what it has to show."""
    faults = [r for r in results if not r.case.row.is_benign]
    flagged = sum(r.case.row.is_benign and not r.is_right for r in results)
    caught = sum(r.is_right for r in faults)
    if dtype in LOW:
        return caught >= NEEDED_LOW * len(faults) and flagged <= 1
    n_origins = sum(r.is_origin_right for r in faults)
    if not all(r.is_blamed_right for r in faults if r.case.row.part):
        return False
    return caught == len(faults) and not flagged and n_origins >= NEEDED_ORIGINS * len(faults)


def judged(results: Sequence[Result]) -> dict[Naming, list[Result]]:
    """The faults whose row says what its cause is, by what the findings say of it."""
    told = [r for r in results if r.case.row.cause not in ("", UNEXPLAINED)]
    return {naming: [r for r in told if r.naming is naming] for naming in Naming}


def misnamed(results: Sequence[Result]) -> list[Result]:
    """Rewrites of which a cause is named, and faults that no rule has and one claims to know."""
    silent = [r for r in results if r.case.row.is_benign or r.case.row.cause == UNEXPLAINED]
    return [r for r in silent if r.naming is not Naming.UNEXPLAINED]


def names_causes(results: Sequence[Result], *, dtype: str) -> bool:
    """Whether the findings name what was planted as often as they have to."""
    by_naming = judged(results)
    n_all = sum(map(len, by_naming.values()))
    is_low = dtype in LOW
    needed = NEEDED_NAMED_LOW if is_low else NEEDED_NAMED
    allowed = ALLOWED_WRONG_LOW if is_low else ALLOWED_WRONG
    return (
        len(by_naming[Naming.RIGHT]) >= needed * n_all
        and len(by_naming[Naming.WRONG]) <= allowed * n_all
        and not misnamed(results)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the matrix and print it. Returns 0 when portalign caught everything it has to, else 1."""
    from faults.table import print_table

    parser = argparse.ArgumentParser(
        prog="faults", description="Plant bugs and expect every one to be found."
    )
    parser.add_argument("--dtype", choices=["float32", "float64", *LOW], default="float32")
    parser.add_argument(
        "--only", metavar="NAME", action="append", help="rows of this name, or architecture"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep all captures there")
    chosen = parser.parse_args(arguments)
    rows = [r for r in ROWS if not chosen.only or r.name in chosen.only or r.arch in chosen.only]
    if not rows:
        print(f"no row is called {', '.join(chosen.only)}", file=sys.stderr)
        return 1
    folder = chosen.keep or Path(tempfile.mkdtemp(prefix="portalign-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        results = run(rows, folder, dtype=chosen.dtype)
    finally:
        if not chosen.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print_table(results)
    print(why_no_padiff())
    is_shown = passes(results, dtype=chosen.dtype) and names_causes(results, dtype=chosen.dtype)
    return 0 if is_shown else 1
