"""What a probe shows: both sides on inputs that portalign made, where the given ones can't decide.

Pairs are those of the step itself; both sides ran by themselves, so only the first place that
differs is diagnosed. Whatever goes wrong here is a note: a verdict never rests on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from portalign.diagnose.probe_runs import MADE, PADDED, ProbeRun, only_rows, read_run
from portalign.errors import TraceError
from portalign.findings import Finding, Probe
from portalign.mapping.pair import Pair, Pairing
from portalign.records import Array, Kind, Role
from portalign.results import Comparison, Divergence, Outcome
from portalign.store.layout import FAILURE, PROBE

_STATE = (Kind.PARAMETER, Kind.BUFFER)
# What two tensors of a pair that passes differ by on the given inputs, they may differ by here too;
# ten times that, because these are other numbers.
_AS_GIVEN = 10.0
_WANTED = "rows padded on the left and on the right"
_Before = Mapping[str, Comparison]  # of the step itself, by label


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
        run, notes = read_run(folder, inputs)
        told = _concluded(run, evidence) if run else Probed()
        return replace(told, notes=(*notes, *told.notes))
    except Exception as err:  # captures of any age and origin: a verdict must not break here
        found = err.found if isinstance(err, TraceError) else f"{type(err).__name__}: {err}"
        return Probed(notes=(f"the probe can't be read: {found}",))


def _failed(role: Role, error: str) -> str:
    return (
        f"portalign tried inputs of its own, where the given ones can't decide, and the "
        f"{role.value} failed on them with {' '.join(error.split())}"
    )


def _concluded(run: ProbeRun, evidence: Evidence) -> Probed:
    before = {one.label: one for one in evidence.comparisons}
    own = _own_evidence(run, evidence, before)
    outputs = [
        (each, one)
        for each, one in zip(own.pairing.pairs, own.comparisons, strict=True)
        if one.key.kind is Kind.OUTPUT and one.outcome in (Outcome.PASS, Outcome.FAIL)
    ]
    if not outputs:
        return Probed()
    found = Probed(run.shown.shape[1], is_padded=run.is_padded)
    wrong = [(each, one) for each, one in outputs if one.outcome is Outcome.FAIL]
    if not wrong:
        agreed = f"also compared, where the given inputs can't decide: {run.tried}: they agree"
        return replace(found, notes=(agreed,))
    rows, is_hidden_only = _where(run, wrong, before)
    diagnosis = diagnose(own)
    if len(rows) > 1 and not _is_named(diagnosis.findings):
        # rows that hide everything are beyond most rules, and left padding is what makes them
        simpler = only_rows(run, rows[1:])
        narrower = diagnose(_own_evidence(simpler, evidence, before))
        diagnosis = narrower if _is_named(narrower.findings) else diagnosis
    labels = tuple(one.label for _, one in wrong)
    names = [PADDED[row] for row in rows] if run.is_padded else []
    begins = own.divergence.origins
    text = _told(run, names, begins, diagnosis.findings, is_hidden_only=is_hidden_only)
    probe = Probe(run.tried, labels, is_hidden_only, "".join(begins), text, diagnosis.findings)
    return replace(found, notes=diagnosis.notes, probe=probe)


def _is_named(findings: Sequence[Finding]) -> bool:
    return any(finding.is_confirmed for finding in findings)


def _own_evidence(run: ProbeRun, evidence: Evidence, before: _Before) -> Evidence:
    """The step's evidence as it would be if the probe were all that was captured."""
    pairing = _paired(run, evidence.pairing)
    compared = tuple(
        before[each.label]
        if each.reference.key.kind in _STATE  # the same as in the step itself
        else _compared(each, each.reference.array, each.candidate_values(), before)
        for each in pairing.pairs
    )
    harmless = harmless_inputs(pairing.pairs, compared)
    compared = forgive(pairing.pairs, compared, harmless)
    grafted = [Grafted(*both) for both in zip(pairing.pairs, compared, strict=True)]
    places = origins(grafted, run.sides[0], pairing, harmless=harmless)[:1]
    labels = tuple(one.label for one in places)
    return replace(
        evidence,
        reference=run.sides[0],
        candidate=run.sides[1],
        pairing=pairing,
        comparisons=compared,
        divergence=Divergence(labels, first="".join(labels) or None, places=places),
        links=(),
        arrived=run.sides[1],
    )


def _paired(run: ProbeRun, pairing: Pairing) -> Pairing:
    """The step's pairs as the probe's traces hold them; state is the same."""
    ours, theirs = (side.by_key() for side in run.sides)
    pairs = []
    for each in pairing.pairs:
        key = each.reference.key
        if key.kind in (*MADE, *_STATE) and not key.iteration:
            here = each.among(ours, theirs)
            pairs += [here] if here is not None else []
    return Pairing(tuple(sorted(pairs, key=lambda one: one.reference.order)), ())


def _compared(each: Pair, reference: Array, candidate: Array, before: _Before) -> Comparison:
    given = before.get(each.label)
    is_lifted = reference.dtype == np.float64
    measurement = given and ((given.twin if is_lifted else None) or given.native)
    measured = measurement.rel_frobenius if measurement else 0.0
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
    run: ProbeRun,
    names: Sequence[str],
    begins: Sequence[str],
    findings: Sequence[Finding],
    *,
    is_hidden_only: bool,
) -> str:
    n_places = run.shown.shape[1]
    wanted = [_WANTED] if names else []
    if n_places > run.n_given:
        wanted.append(f"sequences of {n_places} places (yours have {run.n_given})")
    sentences = [f"On inputs that portalign made of yours ({run.tried}) the two sides differ."]
    if names:
        hidden = ", at places that the mask hides only" if is_hidden_only else ""
        sentences.append(f"It shows in {' and '.join(names)}{hidden}.")
    sentences += [f"It begins at {label}." for label in begins]
    if is_hidden_only and not _is_named(findings):
        sentences.append("Mostly that is the value which a mask adds.")
    sentences.append(
        "Your inputs can't show it, and the verdict is about those; to check it, give "
        f"{' and '.join(wanted) or 'such a batch'}."
    )
    return " ".join(sentences)


def _where(
    run: ProbeRun, wrong: Sequence[tuple[Pair, Comparison]], before: _Before
) -> tuple[list[int], bool]:
    """Rows in which outputs differ, and whether they do so at hidden places only."""
    rows: set[int] = set()
    is_hidden_only = run.is_padded
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


def _differs(each: Pair, ours: Array, theirs: Array, before: _Before) -> bool:
    return _compared(each, ours, theirs, before).outcome is not Outcome.PASS
