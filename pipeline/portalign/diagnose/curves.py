"""Why two learning rate curves differ: candidate explanations, tried by their numbers.

An explanation counts only if it makes the candidate's curve of the reference's schedule, point for
point as closely as the verdict asks. Two that do are both told, for the curve can't tell which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from portalign.diagnose.evidence import Evidence
from portalign.diagnose.rates.arguments import known_value, one_changed
from portalign.diagnose.rates.groups import Group, ended, groups
from portalign.diagnose.rates.recognise import recognise
from portalign.diagnose.rates.schedule import (
    Path,
    Rates,
    Schedule,
    agree,
    declared,
    known_numbers,
    paths,
    said,
)
from portalign.diagnose.rates.stepping import Explanation, never_stepped, paced, scaled, shifted
from portalign.diagnose.words import listed
from portalign.findings import Finding, FindingKind
from portalign.records import Array, Kind, Precision, Role
from portalign.request import Json
from portalign.results import Outcome

_TOLD = 2  # other explanations that are named before it says how many more
_LONGER = 10  # times the length of the curve that is known where a formula is


def explain_rates(evidence: Evidence) -> dict[str, Finding]:
    """Findings on learning rates by the label of the first pair that differs: the optimizer's own,
    and those of groups of parameters that it doesn't explain.
    """
    main, label = _own_rates(evidence)
    found = {}
    if main and label:
        found[label] = explain(main.reference, main.candidate, evidence.settings, where=label)
    for group in groups(evidence.links):
        own = main.until(group.reference.size) if main else group
        if group.label and not (label and group.follows(own)):
            found[group.label] = _of_group(group, own, evidence.settings)
    return found


def _own_rates(evidence: Evidence) -> tuple[Group | None, str]:
    """Both sides' rates of the free run, which are the first group's, and the label of the first
    that differs; "" where none does.
    """
    failed = [
        one
        for one in evidence.comparisons
        if one.key.kind is Kind.LR
        and one.key.precision is Precision.NATIVE
        and one.outcome is Outcome.FAIL
    ]
    pairs = [
        pair
        for pair in evidence.pairing.pairs
        if pair.reference.key.kind is Kind.LR and pair.reference.key.precision is Precision.NATIVE
    ]
    if not pairs:
        return None, ""
    first = min(failed, key=lambda one: one.key.iteration, default=None)
    name = first.key.name if first else pairs[0].reference.key.name
    same = [pair for pair in pairs if pair.reference.key.name == name]
    same.sort(key=lambda pair: pair.reference.key.iteration)
    reference = _joined([pair.reference.array for pair in same])
    candidate = _joined([pair.candidate.array for pair in same])
    label = first.label if first else ""
    return Group(label, (), reference, candidate), label


def _of_group(group: Group, own: Group, settings: Mapping[str, Json]) -> Finding:
    """Why the rates of a group of parameters differ.

    Args:
        own: the optimizer's own rates over the same iterations.
    """
    ours = _schedule(settings, Role.REFERENCE, own.reference)
    by_frameworks = list(ended(group, own, ours))
    if by_frameworks:
        before = _distance(group.reference, group.candidate)
        found = _finding(by_frameworks, group.candidate, group.label, before)
    else:
        curves, known = (group.reference, group.candidate), group.schedule(ours)
        found = explain(*curves, settings, where=group.label, ours=known)
    return replace(found, claim=f"for {listed(group.owners)}: {found.claim}")


def explain(
    reference: Rates,
    candidate: Rates,
    settings: Mapping[str, Json],
    *,
    where: str,
    ours: Schedule | None = None,
) -> Finding:
    """Why a curve [n] isn't the reference's.

    Args:
        settings: the port as plain data; what it says of the schedule is tried first.
        where: label of the place.
        ours: what the reference follows, where it is known.
    """
    if reference.shape != candidate.shape or not np.isfinite([reference, candidate]).all():
        return _unexplained(where, ("curves of one length without NaN",))
    before = _distance(reference, candidate)
    ours = ours or _schedule(settings, Role.REFERENCE, reference)
    tried = (
        partial(never_stepped, reference, candidate),
        partial(_as_declared, settings, reference, candidate),
        partial(_one_thing, reference, candidate, ours),
        partial(_by_itself, settings, candidate, ours),
    )
    for explanations in tried:  # the first that explain anything; later ones are less simple
        found = [one for one in explanations() if agree(one.curve, candidate)]
        if found:
            found.sort(key=lambda one: one.n_digits)
            return _finding(found, candidate, where, before)
    return _unexplained(where, _tried(ours), before)


def _schedule(settings: Mapping[str, Json], role: Role, rates: Rates) -> Schedule | None:
    """What a side follows: as the port file declares it, else as the curve shows it."""
    base_lr, total = known_numbers(settings, role)
    known = declared(settings, role, rates)
    return known or recognise(rates, base_lr=base_lr, total=total)


def _as_declared(
    settings: Mapping[str, Json], reference: Rates, candidate: Rates
) -> Iterator[Explanation]:
    """The port file itself gives the sides different arguments."""
    ours = declared(settings, Role.REFERENCE, reference)
    theirs = declared(settings, Role.CANDIDATE, candidate)
    if ours and theirs:
        yield _told_apart(ours, theirs, candidate.size)


def _one_thing(reference: Rates, candidate: Rates, ours: Schedule | None) -> Iterator[Explanation]:
    """Other steps, another size, or one other argument."""
    longer = reference if ours is None else ours.curve(_LONGER * reference.size)
    yield from shifted(longer, candidate)
    yield from paced(reference, longer, candidate)
    is_scaled = list(scaled(reference, candidate))
    yield from is_scaled
    if ours is None:
        return
    yield from _plateau(ours, candidate)
    for path, value in one_changed(ours, candidate):
        if path != ("lr",) or not is_scaled:
            yield _changed(ours, {path: value}, candidate.size)


def _by_itself(
    settings: Mapping[str, Json], candidate: Rates, ours: Schedule | None
) -> Iterator[Explanation]:
    """Two schedules, or several other arguments of one."""
    theirs = _schedule(settings, Role.CANDIDATE, candidate)
    if ours and theirs:
        yield _told_apart(ours, theirs, candidate.size)


def _changed(ours: Schedule, values: Mapping[Path, Json], n_points: int) -> Explanation:
    """The reference's schedule with other arguments."""
    changed = ours
    for path, value in values.items():
        changed = changed.changed(path, value)
    claims = [
        f"{said(path)} {_word(known_value(ours, path))} against {_word(values[path])}"
        for path in values
    ]
    own = {f"reference {said(path)}": known_value(ours, path) for path in values}
    other = {f"candidate {said(path)}": value for path, value in values.items()}
    return Explanation(
        "lr-argument",
        f"{' and '.join(claims)} ({ours.name})",
        changed.curve(n_points),
        "give the candidate's schedule "
        + ", ".join(f"{said(path)} {_word(known_value(ours, path))}" for path in values),
        {key: float(value) for key, value in {**own, **other}.items() if _is_number(value)},
        n_digits=sum(len(_word(value).strip("0.")) for value in values.values()),
    )


def _told_apart(ours: Schedule, theirs: Schedule, n_points: int) -> Explanation:
    """Both sides' schedules by themselves: other arguments of one, or two schedules."""
    if ours.name == theirs.name:
        every = dict.fromkeys((*paths(ours), *paths(theirs)))
        values = {
            path: theirs.value(path)
            for path in every
            if theirs.value(path) != known_value(ours, path)
        }
        return _changed(ours, values, n_points)
    return Explanation(
        "lr-schedule",
        f"the reference follows {_described(ours)}, the candidate {_described(theirs)}",
        theirs.curve(n_points),
        f"build {ours.name} on the candidate",
    )


def _plateau(ours: Schedule, candidate: Rates) -> Iterator[Explanation]:
    """What a metric in the cooldown counts: torch looks at it, paddle doesn't."""
    if ours.name != "reduce_on_plateau":
        return
    is_blind = bool(ours.arguments.get("is_blind"))
    yield Explanation(
        "lr-plateau-cooldown",
        "a metric that improves during the cooldown counts in torch's ReduceLROnPlateau and not in "
        "paddle's",
        ours.changed(("is_blind",), not is_blind).curve(candidate.size),
        "",
        is_framework=True,
    )


def _finding(found: Sequence[Explanation], candidate: Rates, where: str, before: float) -> Finding:
    first, others = found[0], found[1:]
    claim = first.claim
    if others:
        named = ", or from ".join(one.claim for one in others[:_TOLD])
        more = f" (and {len(others) - _TOLD} more)" if len(others) > _TOLD else ""
        claim += f"; the curve can't tell it from {named}{more}"
    known = ~np.isnan(first.curve)
    after = _distance(first.curve[known], candidate[known])
    return Finding(
        first.rule,
        FindingKind.KNOWN_DIFFERENCE if first.is_framework else FindingKind.CAUSE,
        (where,),
        claim,
        f"it makes {int(known.sum())} of {candidate.size} rates of the candidate out of the "
        f"reference's schedule, to {after:.1e} where they differ by {before:.1e}",
        first.remedy,
        dict(first.fitted),
        before,
        after,
        is_confirmed=True,
    )


def _unexplained(where: str, tried: Sequence[str], before: float = float("nan")) -> Finding:
    claim = "no change of the schedule that was tried gives the candidate's learning rates"
    return Finding(
        "", FindingKind.UNEXPLAINED, (where,), claim, before=before, ruled_out=tuple(tried)
    )


def _tried(ours: Schedule | None) -> tuple[str, ...]:
    stepping = ("never stepped", "steps ahead or behind", "stepped per epoch", "scaled")
    if ours is None:
        return (*stepping, "the reference's own schedule isn't known")
    return (*stepping, *(f"another {said(path)}" for path in paths(ours)))


def _described(schedule: Schedule) -> str:
    values = (f"{said(path)} {_word(schedule.value(path))}" for path in paths(schedule))
    return f"{schedule.name} ({', '.join(values)})"


def _word(value: Json) -> str:
    return f"{value:.6g}" if _is_number(value) else str(value)


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _joined(arrays: Sequence[Array]) -> Rates:
    return np.concatenate([np.ravel(array) for array in arrays]).astype(np.float64)


def _distance(left: Rates, right: Rates) -> float:
    """The greatest difference, relative to the greatest rate."""
    size = float(np.abs([left, right]).max()) if right.size else 0.0
    return float(np.abs(left - right).max()) / size if size else 0.0
