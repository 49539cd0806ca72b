"""What a probe shows: both sides on inputs that portalign made, where the given ones can't decide.

Pairs are those of the step itself; both sides ran by themselves, so only the first place that
differs is diagnosed. Whatever goes wrong here is a note: a verdict never rests on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np

from portalign.compare.grafts import Grafted, origins
from portalign.compare.harmless import forgive, harmless_inputs
from portalign.compare.pairs import compare
from portalign.compare.tolerance import for_dtype
from portalign.diagnose.engine import diagnose
from portalign.diagnose.evidence import Evidence
from portalign.errors import TraceError
from portalign.findings import Finding, Probe
from portalign.mapping.pair import Pair, Pairing
from portalign.records import Array, Kind, Role, TensorRecord, Trace
from portalign.results import Comparison, Divergence, Outcome
from portalign.store import read_trace
from portalign.store.layout import FAILURE, PROBE
from portalign.store.sides import read_side

_MADE = (Kind.ACTIVATION, Kind.OUTPUT)
_STATE = (Kind.PARAMETER, Kind.BUFFER)
# What two tensors of a pair that passes differ by on the given inputs, they may differ by here too;
# ten times that, because these are other numbers.
_AS_GIVEN = 10.0
_WANTED = "rows padded on the left and on the right"
_PADDED = ("the row padded on the left", "the row padded on the right")


@final
@dataclass(frozen=True, slots=True)
class Probed:
    """What came of the probe.

    Attributes:
        n_places: length of its sequences, 0 where nothing could be compared.
        is_padded: rows with padding were compared.
        probe: what differs; None where nothing does.
    """

    n_places: int = 0
    is_padded: bool = False
    notes: tuple[str, ...] = ()
    probe: Probe | None = None


@final
@dataclass(frozen=True, slots=True)
class _Run:
    """Both sides' traces on the probe's rows, those without a measure left out.

    Attributes:
        shown: bool [rows, places].
        rows: numbers of the rows among those that were run.
        n_given: places of the given sequences.
    """

    sides: tuple[Trace, Trace]
    shown: Array
    rows: tuple[int, ...]
    n_given: int
    tried: str


def probed(folder: Path, inputs: str, evidence: Evidence, outcome: Outcome) -> Probed:
    """Conclude the probe of a step.

    Args:
        folder: of the step; there need not be a probe in it.
        inputs: name of the folder of batches, in the step's and in the probe's.
        evidence: the concluded step.
        outcome: of the step; where that is FAIL the differences are in both, and nothing is said.
    """
    place = folder / PROBE
    if not place.is_dir() or outcome is Outcome.FAIL:
        return Probed()
    for role in Role:
        failure = place / role.value / FAILURE
        if failure.is_file():
            return Probed(notes=(_failed(role, failure.read_text(encoding="utf-8")),))
    try:
        made = read_trace(place / inputs)
        run, notes = _run(folder, made, read_trace(folder / inputs))
        told = _concluded(run, evidence) if run else Probed()
        return replace(told, notes=(*notes, *told.notes))
    except (TraceError, OSError, ValueError) as err:
        found = err.found if isinstance(err, TraceError) else str(err)
        return Probed(notes=(f"the probe can't be read: {found}",))


def _failed(role: Role, error: str) -> str:
    return (
        f"portalign tried inputs of its own, where the given ones can't decide, and the "
        f"{role.value} failed on them with {' '.join(error.split())}"
    )


def _run(folder: Path, made: Trace, given: Trace) -> tuple[_Run | None, tuple[str, ...]]:
    """The probe's traces without the rows in which the reference is no measure."""
    fields = {r.key.path: r.array for r in made.records if not r.key.iteration}
    shown = next(np.asarray(r.array) for r in made.records if r.key.iteration)
    tried, *refused = made.info.notes if made.info else ("",)
    lengths = [
        record.array.shape[1]
        for record in given.records
        if record.key.iteration == 0
        and record.key.path in fields
        and fields[record.key.path].shape[:2] == shown.shape
        and record.array.ndim > 1
    ]
    sides = [read_side(folder, role, run=PROBE) for role in Role]
    notes = [f"a probe of {each} made the reference raise" for each in refused]
    rows = tuple(row for row in range(len(shown)) if not _is_nan(sides[0], row, len(shown)))
    if len(rows) < len(shown):
        named = [name for row, name in enumerate(_PADDED[: len(shown)]) if row not in rows]
        where = " and ".join(named) if len(shown) > 1 else "it"
        notes.append(
            f"of a probe of {tried} the reference gives NaN in {where}: nothing is told there"
        )
    if not rows or not lengths:
        return None, tuple(notes)
    if len(rows) < len(shown):
        sides = [_only(side, rows, len(shown)) for side in sides]
        shown = shown[list(rows)]
    return _Run((sides[0], sides[1]), shown, rows, max(lengths), tried), tuple(notes)


def _is_nan(trace: Trace, row: int, n_rows: int) -> bool:
    arrays = (r.array for r in trace.records if r.key.kind is Kind.OUTPUT)
    with np.errstate(all="ignore"):
        return any(
            bool(np.isnan(np.asarray(array[row], np.float64)).any())
            for array in arrays
            if array.ndim and len(array) == n_rows and array.dtype.kind not in "iubc"
        )


def _only(trace: Trace, rows: Sequence[int], n_rows: int) -> Trace:
    def cut(record: TensorRecord) -> TensorRecord:
        array = record.array
        is_of_rows = record.key.kind in _MADE and array.ndim > 1 and len(array) == n_rows
        return replace(record, array=array[list(rows)]) if is_of_rows else record

    return replace(trace, records=tuple(map(cut, trace.records)))


def _concluded(run: _Run, evidence: Evidence) -> Probed:
    pairing = _paired(run, evidence.pairing)
    before = {one.label: one for one in evidence.comparisons}
    compared = tuple(
        _compared(each, each.reference.array, each.candidate_values(), before)
        for each in pairing.pairs
    )
    harmless = harmless_inputs(pairing.pairs, compared)
    compared = forgive(pairing.pairs, compared, harmless)
    outputs = [
        (each, one)
        for each, one in zip(pairing.pairs, compared, strict=True)
        if one.key.kind is Kind.OUTPUT
    ]
    wrong = [(each, one) for each, one in outputs if one.outcome is Outcome.FAIL]
    is_decided = any(one.outcome is Outcome.PASS for _, one in outputs)
    if not (wrong or is_decided):
        return Probed()
    found = Probed(run.shown.shape[1], is_padded=not run.shown.all())
    if not wrong:
        agreed = f"also compared, where the given inputs can't decide: {run.tried}: they agree"
        return replace(found, notes=(agreed,))
    named = origins(
        [Grafted(*both) for both in zip(pairing.pairs, compared, strict=True)],
        run.sides[0],
        pairing,
        harmless=harmless,
    )[:1]
    labels = tuple(one.label for one in named)
    divergence = Divergence(labels, first=wrong[0][1].label, places=named)
    own = replace(
        evidence,
        reference=run.sides[0],
        candidate=run.sides[1],
        pairing=pairing,
        comparisons=compared,
        divergence=divergence,
        links=(),
        arrived=run.sides[1],
    )
    diagnosis = diagnose(own)
    return replace(
        found, notes=diagnosis.notes, probe=_told(run, wrong, before, labels, diagnosis.findings)
    )


def _paired(run: _Run, pairing: Pairing) -> Pairing:
    """The step's pairs as the probe's traces hold them; state is the same."""
    ours, theirs = (side.by_key() for side in run.sides)
    pairs = []
    for each in pairing.pairs:
        key = each.reference.key
        if key.kind in (*_MADE, *_STATE) and not key.iteration:
            here = each.among(ours, theirs)
            pairs += [here] if here is not None else []
    return Pairing(tuple(sorted(pairs, key=lambda one: one.reference.order)), ())


def _compared(
    each: Pair, reference: Array, candidate: Array, before: dict[str, Comparison]
) -> Comparison:
    given = before.get(each.label)
    measured = (given.twin or given.native).rel_frobenius if given else 0.0
    tolerance = for_dtype(reference.dtype.name)
    allowed = max(tolerance.relative, _AS_GIVEN * measured if measured < 1.0 else 0.0)
    return compare(
        reference,
        candidate,
        key=each.reference.key,
        candidate_key=each.candidate.key,
        label=each.label,
        how_paired=each.how,
        tolerance=replace(tolerance, relative=allowed),
        module_type=each.reference.module_type,
        order=each.reference.order,
    )


def _told(
    run: _Run,
    wrong: Sequence[tuple[Pair, Comparison]],
    before: dict[str, Comparison],
    begins: tuple[str, ...],
    findings: tuple[Finding, ...],
) -> Probe:
    rows, is_hidden_only = _where(run, wrong, before)
    names = [_PADDED[row] for row in rows] if not run.shown.all() else []
    n_places = run.shown.shape[1]
    wanted = [_WANTED] if names else []
    if n_places > run.n_given:
        wanted.append(f"sequences of {n_places} places (yours have {run.n_given})")
    sentences = [f"On inputs that portalign made of yours ({run.tried}) the two sides differ."]
    if names:
        hidden = ", at places that the mask hides only" if is_hidden_only else ""
        sentences.append(f"It shows in {' and '.join(names)}{hidden}.")
    if begins:
        sentences.append(f"It begins at {begins[0]}.")
    if is_hidden_only and not any(finding.is_confirmed for finding in findings):
        sentences.append("Mostly that is the value which a mask adds.")
    sentences.append(
        "Your inputs can't show it, and the verdict is about those; to check it, give "
        f"{' and '.join(wanted) or 'such a batch'}."
    )
    return Probe(
        run.tried,
        tuple(one.label for _, one in wrong),
        is_hidden_only,
        begins[0] if begins else "",
        " ".join(sentences),
        findings,
    )


def _where(
    run: _Run, wrong: Sequence[tuple[Pair, Comparison]], before: dict[str, Comparison]
) -> tuple[list[int], bool]:
    """Rows in which outputs differ, and whether they do so at hidden places only."""
    rows: set[int] = set()
    is_hidden_only = not run.shown.all()
    for each, _ in wrong:
        ours, theirs = each.reference.array, each.candidate_values()
        if ours.shape != theirs.shape or ours.shape[:1] != run.shown.shape[:1]:
            is_hidden_only = False
            continue
        for at, row in enumerate(run.rows):
            if _differs(each, ours[at], theirs[at], before):
                rows.add(row)
        is_along = ours.shape[:2] == run.shown.shape
        if not is_along or _differs(each, ours[run.shown], theirs[run.shown], before):
            is_hidden_only = False
    return sorted(rows), is_hidden_only


def _differs(each: Pair, ours: Array, theirs: Array, before: dict[str, Comparison]) -> bool:
    return _compared(each, ours, theirs, before).outcome is not Outcome.PASS
