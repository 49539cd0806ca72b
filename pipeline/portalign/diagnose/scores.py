"""Why two metrics differ: conventions, tried one at a time on the scores that were captured.

A convention counts only if it gives the candidate's value of every set of scores that was compared:
its own predictions, the reference's, and the crafted ones. Two that do are both told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from portalign.compare.curves import RELATIVE
from portalign.config.entries import Entry
from portalign.diagnose.conventions import Change, changes, plain
from portalign.diagnose.evidence import Evidence, Numbers
from portalign.equivalents.arguments import TABLES, resolve
from portalign.equivalents.crafted import Scored, crafted_cases
from portalign.equivalents.rows import Area
from portalign.findings import Finding, FindingKind
from portalign.records import Kind, Precision, Role, TensorKey, Trace
from portalign.request import Spec
from portalign.results import Outcome

_TOLD = 2  # other explanations that are named before it says how many more
OWN, SHARED = "own", "shared"


@final
@dataclass(frozen=True, slots=True)
class Case:
    """One set of scores and what both sides' metrics gave.

    Attributes:
        scored: what the reference scored.
        theirs: what the candidate scored: the same, but for each side's own predictions.
    """

    name: str
    scored: Scored
    theirs: Scored
    reference: Numbers
    candidate: Numbers


def explain_scores(evidence: Evidence) -> dict[str, Finding]:
    """A finding for each metric that differs by itself, under the labels of all its origins."""
    origins = {place.label for place in evidence.divergence.places}
    failed: dict[str, list[str]] = {}
    for one in evidence.comparisons:
        is_origin = one.label in origins and one.outcome is Outcome.FAIL
        if one.key.kind is Kind.METRIC and is_origin:
            failed.setdefault(one.key.path, []).append(one.label)
    found: dict[str, Finding] = {}
    for label, where in failed.items():
        spec = _spec(evidence, label)
        finding = explain(spec, _cases(evidence, label, spec), where=tuple(where))
        found |= dict.fromkeys(where, finding)
    return found


def explain(spec: Spec | None, cases: Sequence[Case], *, where: tuple[str, ...]) -> Finding:
    """Why a metric's values differ.

    Args:
        spec: of the reference; None or a function of the porter: recognised by its values.
        cases: everything it was computed of; where the reference is NaN it says nothing.
        where: labels of the places.
    """
    cases = [case for case in cases if not np.isnan(case.reference).any()]
    before = max((_distance(case.reference, case.candidate) for case in cases), default=0.0)
    base = _reference(spec, cases)
    if base is None:
        return _unexplained(where, ("the reference's own metric isn't known",), before)
    tried: list[str] = []
    found = []
    for change in changes(base.name, base.arguments):
        tried.append(change.rule)
        if _gives(change, cases, is_candidate=True):
            found.append(change)
    if not found:
        return _unexplained(where, tuple(dict.fromkeys(tried)), before)
    return _finding(found, cases, where, before, is_as_is=bool(base.arguments.get("as_is")))


def _reference(spec: Spec | None, cases: Sequence[Case]) -> Change | None:
    """The metric that gives the reference's value of every case."""
    for name, arguments in _guesses(spec):
        base = plain(name, arguments)
        if _gives(base, cases, is_candidate=False):
            return base
    return None


def _guesses(spec: Spec | None) -> Iterator[tuple[str, Mapping[str, object]]]:
    if spec is not None and spec.name:
        yield spec.name, resolve(Area.METRIC, spec)
        return
    for name, known in TABLES[Area.METRIC].items():
        for average in ("binary", "macro", "micro", "weighted") if "average" in known else ("",):
            yield (
                name,
                resolve(Area.METRIC, Spec(name, args={"average": average} if average else {})),
            )


def _gives(change: Change, cases: Sequence[Case], *, is_candidate: bool) -> bool:
    """Whether a change gives a side's value of every case; the small crafted ones come first."""
    try:
        return bool(cases) and all(
            _distance(
                change.value(case.theirs if is_candidate else case.scored),
                case.candidate if is_candidate else case.reference,
            )
            <= RELATIVE
            for case in sorted(cases, key=lambda case: case.name in (OWN, SHARED))
        )
    except (ValueError, IndexError, ArithmeticError):
        return False  # such a metric isn't defined for these scores


def _finding(
    found: Sequence[Change],
    cases: Sequence[Case],
    where: tuple[str, ...],
    before: float,
    *,
    is_as_is: bool,
) -> Finding:
    first, others = found[0], found[1:]
    claim = first.claim
    is_known = bool(first.framework) and is_as_is and not others
    if is_known:
        claim = f"{first.framework}: {claim}"
    if others:
        named = ", or from ".join(one.claim for one in others[:_TOLD])
        more = f" (and {len(others) - _TOLD} more)" if len(others) > _TOLD else ""
        claim += f"; these scores can't tell it from {named}{more}"
    after = max(_distance(first.value(case.theirs), case.candidate) for case in cases)
    return Finding(
        first.rule,
        FindingKind.KNOWN_DIFFERENCE if is_known else FindingKind.CAUSE,
        where,
        claim,
        f"computed so it gives the candidate's values of all {len(cases)} sets of scores "
        f"({', '.join(case.name for case in cases)}), to {after:.1e} where they differ by "
        f"{before:.1e}",
        "" if is_known else first.remedy,
        {},
        before,
        after,
        is_confirmed=True,
    )


def _unexplained(where: tuple[str, ...], tried: Sequence[str], before: float) -> Finding:
    claim = "no other way to compute the metric that was tried gives the candidate's values"
    return Finding("", FindingKind.UNEXPLAINED, where, claim, before=before, ruled_out=tuple(tried))


def _spec(evidence: Evidence, label: str) -> Spec | None:
    framework = str((evidence.settings.get(Role.REFERENCE.value) or {}).get("framework", ""))
    for data in evidence.settings.get("metrics") or ():
        entry = Entry.model_validate(data)
        if entry.label() == label:
            return entry.spec(Role.REFERENCE, framework)
    return None


def _cases(evidence: Evidence, label: str, spec: Spec | None) -> list[Case]:
    """What a metric was computed of and gave, for every set that both sides have."""
    labels = (evidence.settings.get("labels") or ("labels",))[0]
    ours = _scored(evidence.reference, str(labels))
    theirs = _scored(evidence.candidate, str(labels))
    scored = {OWN: (ours, theirs), SHARED: (ours, ours)}
    if ours:
        shape = ours[0][0].shape
        arguments = resolve(Area.METRIC, spec) if spec is not None and spec.name else {}
        is_plain = bool(arguments) or len(shape) == 2
        given = {key: arguments[key] for key in ("axis", "ignore_index") if key in arguments}
        crafted = crafted_cases(shape, **given) if is_plain else {}
        scored |= {name: (case, case) for name, case in crafted.items()}
    found = []
    for pair in evidence.pairing.pairs:
        key = pair.reference.key
        if key.kind is Kind.METRIC and key.path == label and key.slot in scored:
            values = (pair.reference.array, pair.candidate.array)
            found.append(
                Case(key.slot, *scored[key.slot], *(np.asarray(v, np.float64) for v in values))
            )
    return found


def _scored(trace: Trace, labels: str) -> Scored:
    by_key = trace.by_key()
    found = []
    for record in trace.records:
        key = record.key
        if key.kind is Kind.PREDICTION and key.precision is Precision.NATIVE:
            wanted = by_key.get(TensorKey(Kind.INPUT, labels, iteration=key.iteration))
            if wanted is not None:
                found.append((record.array, wanted.array))
    return found


def _distance(left: Numbers, right: Numbers) -> float:
    """The greatest difference relative to the greatest value; infinite where shapes or NaN do."""
    if left.shape != right.shape or (np.isnan(left) != np.isnan(right)).any():
        return float("inf")
    known = ~np.isnan(left)
    size = float(np.abs([left[known], right[known]]).max()) if known.any() else 0.0
    return float(np.abs(left[known] - right[known]).max()) / size if size else 0.0
